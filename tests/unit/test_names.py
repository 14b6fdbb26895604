import subprocess
import sys

import pytest

from danelaw.model import AppProtocol
from danelaw.names import (
    BadName,
    a_label,
    canonical_address,
    covers,
    default_protocol,
    fold_names,
    format_host_port,
    is_address,
    is_public_address,
    parse_host_port,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mail.example.org", "mail.example.org"),
        ("Mail.Example.ORG.", "mail.example.org"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("XN--MNCHEN-3YA.DE", "xn--mnchen-3ya.de"),
        ("faß.de", "xn--fa-hia.de"),  # IDNA 2008 keeps the sharp s that IDNA 2003 mapped to ss
        ("mail。example。org", "mail.example.org"),
        ("\uff2d\uff21\uff29\uff2c.example.org", "mail.example.org"),  # full width
        ("localhost", "localhost"),
        ("1and1.example", "1and1.example"),
        ("a" * 63 + ".org", "a" * 63 + ".org"),
        (".".join(["a" * 49] * 5) + ".org", ".".join(["a" * 49] * 5) + ".org"),  # 253 characters
    ],
)
def test_a_label(name: str, expected: str) -> None:
    assert a_label(name) == expected


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "is empty"),
        (".", "is empty"),
        ("mail..org", "empty label"),
        ("mail.example.org..", "empty label"),
        (".example.org", "empty label"),
        ("ma il.example.org", '"ma il"'),
        ("_25.example.org", '"_25"'),
        ("-mail.example.org", '"-mail"'),
        ("mail-.example.org", '"mail-"'),
        ("ab--c.example.org", "hyphens"),
        ("xn--.example.org", "letters, digits"),
        ("xn--a.example.org", "internationalized"),
        ("☃.example.org", "internationalized"),
        ("*.example.org", "wildcard"),
        ("a" * 64 + ".org", "longer than 63"),
        (".".join(["a" * 49] * 5) + ".orgs", "longer than 253"),
        ("a" * 100_000, "longer than 253"),
        ("192.0.2.25", "IP address"),
        ("2001:db8::25", "IP address"),
        ("1.2.3", "ends in a number"),
        ("mail.example.org\n", "letters, digits"),
        ("\x1b[31m.org", "\\x1b"),
    ],
)
def test_a_label_refuses(name: str, why: str) -> None:
    with pytest.raises(BadName) as caught:
        a_label(name)
    assert why in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_wildcard_is_a_whole_first_label_where_it_is_asked_for() -> None:
    assert a_label("*.Example.org", wildcard=True) == "*.example.org"
    for name in ("*", "*.", "a*.example.org", "mail.*.org", "*.*.org"):
        with pytest.raises(BadName):
            a_label(name, wildcard=True)


def test_service_labels_are_for_zones_alone() -> None:
    assert a_label("_25._tcp.Mail.example.org", underscore=True) == "_25._tcp.mail.example.org"
    for name in ("_.example.org", "a_b.example.org"):
        with pytest.raises(BadName):
            a_label(name, underscore=True)


def test_fold_names_keeps_the_order_and_drops_other_spellings() -> None:
    assert fold_names(["b.org", "B.org.", "münchen.de", "a.org", "xn--mnchen-3ya.de"]) == (
        "b.org",
        "xn--mnchen-3ya.de",
        "a.org",
    )
    assert fold_names([]) == ()
    assert fold_names(["*.a.org"], wildcard=True) == ("*.a.org",)
    with pytest.raises(BadName):
        fold_names(["a.org", "*.a.org"])


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mail.example.org:25", "mail.example.org", 25),
        ("MAIL.example.org.:65535", "mail.example.org", 65535),
        ("[::1]:25", "::1", 25),
        ("[2001:0DB8::0:1]:1", "2001:db8::1", 1),
        ("127.0.0.1:53", "127.0.0.1", 53),
        ("192.0.2.25:80", "192.0.2.25", 80),
    ],
)
def test_parse_host_port(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == (host, port)
    assert parse_host_port(format_host_port(host, port)) == (host, port)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mail.example.org", "no port"),
        ("mail.example.org:", "no port"),
        ("mail.example.org:smtp", "no port"),
        ("mail.example.org:0", "no port"),
        ("mail.example.org:65536", "no port"),
        ("mail.example.org:2\uff15", "no port"),
        ("mail.example.org:-1", "no port"),
        ("mail.example.org: 25", "no port"),
        ("::1", "is an IPv6 address without a port; write [::1]:PORT"),
        ("[0::1]", "is an IPv6 address without a port; write [::1]:PORT"),
        ("[127.0.0.1]", "no port"),
        ("2001:db8::1:25", "IPv6"),
        ("a:b:25", "more than one colon"),
        ("[127.0.0.1]:25", "brackets"),
        ("[mail.example.org]:25", "not an IP address"),
        (":25", "is empty"),
        ("", "no port"),
        ("127.1:53", "ends in a number"),
    ],
)
def test_parse_host_port_refuses(text: str, why: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_host_port(text)
    assert why in str(caught.value)


def test_addresses_have_one_form() -> None:
    assert canonical_address("2001:0DB8:0:0::1") == "2001:db8::1"
    assert canonical_address("192.0.2.1") == "192.0.2.1"
    assert is_address("::")
    assert not is_address("[::]")
    assert not is_address("mail.example.org")
    for text in ("", "192.0.2", "192.0.2.010", "mail.example.org", "[::1]", "fe80::1%eth0"):
        with pytest.raises(BadName):
            canonical_address(text)


def test_default_protocol() -> None:
    known: dict[int, AppProtocol] = {25: "smtp", 587: "smtp", 465: "smtps", 143: "imap", 993: "imaps"}
    known |= {110: "pop3", 995: "pop3s", 443: "https"}
    for port, protocol in known.items():
        assert default_protocol(port) == protocol
    assert default_protocol(2525) is None


def test_covers() -> None:
    assert covers("mail.example.org", "mail.example.org")
    assert covers("*.example.org", "mail.example.org")
    assert not covers("*.example.org", "example.org")
    assert not covers("*.example.org", "a.mail.example.org")
    assert not covers("example.org", "mail.example.org")


def test_ascii_names_need_no_idna_tables() -> None:
    code = "import sys; from danelaw.names import a_label; a_label('mail.example.org'); sys.exit('idna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("address", ["192.0.3.1", "9.9.9.9", "2620:fe::fe", "64:ff9b::909:909", "::ffff:9.9.9.9"])
def test_a_public_address(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.25.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.1.2.3",
        ),
        *("192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
        *("::", "::1", "fe80::1", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:a00:1::",
        ),
        *("2001:0:7f00:1::", "mail.example.org", "", "fe80::1%eth0", "127.1"),
    ],
)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public_address(address)
