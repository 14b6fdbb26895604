from pathlib import Path

import pytest

from danelaw.dns.unbound import config_text, load, unreachable
from danelaw.errors import InputError, Refused
from danelaw.model import ResolverSpec
from danelaw.names import is_public_address


def test_root_is_trusted_by_default() -> None:
    text = config_text(ResolverSpec())
    assert 'trust-anchor: ". IN DS 20326 8 2 E06D44B80B8F1D39' in text
    assert 'trust-anchor: ". IN DS 38696 8 2 683D2D0ACB8C9B71' in text
    assert "root-hints" not in text  # libunbound has its own
    assert "forward-zone" not in text
    assert 'local-zone: "test." nodefault' in text
    assert "do-not-query-localhost: no" in text


def test_files_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "root.ds").write_text("; ours\n. 3600 IN DS 1 13 2 00\n")
    (tmp_path / "root.hints").write_text("")
    text = config_text(ResolverSpec(trust_anchor=str(tmp_path / "root.ds"), root_hints=str(tmp_path / "root.hints")))
    assert f'trust-anchor-file: "{tmp_path}/root.ds"' in text
    assert f'root-hints: "{tmp_path}/root.hints"' in text
    assert "20326" not in text


def test_forwarding() -> None:
    assert "forward-addr: 192.0.2.1@5353" in config_text(ResolverSpec("192.0.2.1", 5353))
    assert "forward-addr: ::1@53" in config_text(ResolverSpec("::1"))


def test_without_validation_nothing_is_trusted() -> None:
    text = config_text(ResolverSpec(), validate=False)
    assert "trust-anchor" not in text
    assert 'module-config: "iterator"' in text


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing: the trust anchor file cannot be read \(No such file"):
        config_text(ResolverSpec(trust_anchor=str(tmp_path / "missing")))
    odd = tmp_path / 'a"b'
    odd.write_text("")
    with pytest.raises(InputError, match="may hold no quote"):
        config_text(ResolverSpec(root_hints=str(odd)))


@pytest.mark.parametrize("text", [". IN DNSKEY 257 3 13 AAAA\n", "\n; a comment\n.\t86400 IN ds 1 13 2 ( 00\n  00 )\n"])
def test_a_trust_anchor_file_with_a_record(tmp_path: Path, text: str) -> None:
    (tmp_path / "root.ds").write_text(text)
    assert "trust-anchor-file" in config_text(ResolverSpec(trust_anchor=str(tmp_path / "root.ds")))


@pytest.mark.parametrize("content", [b"", b"\n", b"; . IN DS 1 13 2 00\n", b". IN A 192.0.2.1\n", b"\xff\x00DSX"])
def test_a_trust_anchor_file_without_a_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.ds").write_bytes(content)
    with pytest.raises(InputError, match=r"root\.ds: the trust anchor file has no DS or DNSKEY record; without"):
        config_text(ResolverSpec(trust_anchor=str(tmp_path / "root.ds")))
    with pytest.raises(InputError, match=r"the trust anchor file cannot be read \(Is a directory\)"):
        config_text(ResolverSpec(trust_anchor=str(tmp_path)))


def test_resolver_that_is_no_address() -> None:
    with pytest.raises(InputError, match="no server address"):
        config_text(ResolverSpec("resolver.example.org"))


def test_missing_library_names_the_package() -> None:
    with pytest.raises(Refused, match=r"libnothing\.so\.9.*install Debian's package libunbound8"):
        load("libnothing.so.9")
    assert load() is load()


def test_private_servers_are_left_alone_where_it_is_asked_for() -> None:
    text = config_text(ResolverSpec(), may_reach=is_public_address)
    for network in ("10.0.0.0/8", "127.0.0.0/8", "192.168.0.0/16", "::/3", "fc00::/7", "fe00::/8", "2001:db8::/32"):
        assert f"  do-not-query-address: {network}\n" in text
    assert "do-not-query-address" not in config_text(ResolverSpec())
    # the resolver that a person configured may be anywhere, and it alone is asked
    assert "do-not-query-address" not in config_text(ResolverSpec("10.0.0.1"), may_reach=is_public_address)


def test_a_network_is_open_only_as_a_whole() -> None:
    def some(address: str) -> bool:
        return is_public_address(address) or address.startswith(("10.", "172.16.", "127.53."))

    closed = unreachable(some)
    assert "10.0.0.0/8" not in closed
    assert {"172.16.0.0/12", "127.0.0.0/8", "192.168.0.0/16"} <= set(closed)
    assert unreachable(lambda _: True) == ()


def test_a_lasting_context_has_bounded_caches_and_forgets_failures() -> None:
    text = config_text(ResolverSpec(), lasting=True)
    for option in ("msg-cache-size: 8m", "rrset-cache-size: 16m", "infra-host-ttl: 60", "val-bogus-ttl: 5"):
        assert f"  {option}\n" in text
    assert "msg-cache-size: 1m" in config_text(ResolverSpec())
