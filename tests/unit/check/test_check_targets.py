"""What people write for a target: domains, endpoints, services, and what they know from elsewhere."""

import pytest

from danelaw.check.exits import exit_status
from danelaw.check.targets import PROTOCOLS, parse_target
from danelaw.errors import InputError
from danelaw.model import Target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("example.org", Target("example.org")),
        (" Example.ORG. ", Target("example.org")),
        ("münchen.de", Target("xn--mnchen-3ya.de")),
        ("mail.example.org:25", Target("mail.example.org", 25, "smtp")),
        ("mail.example.org:587", Target("mail.example.org", 587, "smtp")),
        ("mail.example.org:465", Target("mail.example.org", 465, "smtps")),
        ("mail.example.org:143", Target("mail.example.org", 143, "imap")),
        ("mail.example.org:995", Target("mail.example.org", 995, "pop3s")),
        ("www.example.org:443", Target("www.example.org", 443, "https")),
        ("xmpp.example.org:5222", Target("xmpp.example.org", 5222, "xmpp-client")),
        ("xmpp.example.org:5269", Target("xmpp.example.org", 5269, "xmpp-server")),
        ("192.0.2.1:25", Target("192.0.2.1", 25, "smtp")),
        ("[2001:DB8::1]:25", Target("2001:db8::1", 25, "smtp")),
        ("postmaster@example.org", Target("example.org")),
        ('"a@b"@example.org', Target("example.org")),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("text", "protocol", "target"),
    [
        ("example.org", "smtp", Target("example.org")),
        ("example.org", "submission", Target("example.org", None, "smtp", "submission")),
        ("example.org", "submissions", Target("example.org", None, "smtps", "submissions")),
        ("example.org", "imap", Target("example.org", None, "imap", "imap")),
        ("example.org", "pop3s", Target("example.org", None, "pop3s", "pop3s")),
        ("example.org", "xmpp-server", Target("example.org", None, "xmpp-server", "xmpp-server")),
        ("www.example.org", "https", Target("www.example.org", 443, "https")),
        ("mail.example.org:2525", "smtp", Target("mail.example.org", 2525, "smtp")),
        ("mail.example.org:2587", "submission", Target("mail.example.org", 2587, "smtp")),
        ("mail.example.org:2465", "submissions", Target("mail.example.org", 2465, "smtps")),
        ("example.org:853", "tls", Target("example.org", 853, "tls")),
        ("mail.example.org:25", "tls", Target("mail.example.org", 25, "tls")),
    ],
)
def test_a_protocol_says_how_tls_starts_and_of_a_domain_how_its_servers_are_found(
    text: str, protocol: str, target: Target
) -> None:
    assert parse_target(text, protocol) == target


@pytest.mark.parametrize(
    ("service", "protocol", "target"),
    [
        ("xmpp-client", None, Target("example.org", None, "xmpp-client", "xmpp-client")),
        ("_imaps._tcp", None, Target("example.org", None, "imaps", "imaps")),
        ("_SIEVE", "tls", Target("example.org", None, "tls", "sieve")),
        ("submission", "smtp", Target("example.org", None, "smtp", "submission")),
    ],
)
def test_a_service_is_a_srv_label(service: str, protocol: str | None, target: Target) -> None:
    assert parse_target("example.org", protocol, service) == target


@pytest.mark.parametrize(
    ("text", "protocol", "service", "says"),
    [
        ("", None, None, "is empty"),
        ("exa mple.org", None, None, "exa mple"),
        ("a..org", None, None, "empty label"),
        ("_25._tcp.mail.example.org.", None, None, "write mail.example.org:25"),
        ("https://www.example.org/path?q#f", None, None, "write www.example.org:443"),
        ("https://user@www.example.org:8443/", None, None, "write www.example.org:8443"),
        ("http://", None, None, "write HOST:443"),
        ("example.org/mail", None, None, "is a URL"),
        ("192.0.2.1", None, None, "HOST:PORT, or 192.0.2.1:PORT"),
        ("2001:db8::1", None, None, "HOST:PORT, or [2001:db8::1]:PORT"),
        ("[2001:db8::1]", None, None, "HOST:PORT, or [2001:db8::1]:PORT"),
        ("mail.example.org:0", None, None, "1 to 65535"),
        ("mail.example.org:70000", None, None, "1 to 65535"),
        ("mail.example.org:smtp", None, None, "1 to 65535"),
        ("mail.example.org:2525", None, None, "does not say how TLS starts; give --protocol"),
        ("mail.example.org:25", None, "imap", "--service is for a domain"),
        ("example.org", "gopher", None, '"gopher" is not known; expected one of smtp'),
        ("example.org", "tls", None, "write example.org:PORT"),
        ("example.org", "smtps", None, "write example.org:PORT"),
        ("example.org", None, "sieve", "--service sieve does not say how TLS starts"),
        ("example.org", "tls", "no label!", "is no SRV label"),
        ("@example.org", None, None, "@example.org"),
        ("user@192.0.2.1", None, None, "DANE is about names"),
    ],
)
def test_what_is_none_is_refused_with_what_to_write(
    text: str, protocol: str | None, service: str | None, says: str
) -> None:
    with pytest.raises(InputError) as refused:
        parse_target(text, protocol, service)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "text", ["a" * 5000, "\x1b[31m.org", "https://\x07/", "a:b:c", "@", "[", "[:", "::", ":25", "#"]
)
def test_nothing_hostile_gets_through_or_makes_another_error(text: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_target(text)
    said = str(refused.value)
    assert said.isprintable()
    assert len(said) < 400


def test_the_protocols_are_those_of_the_model_and_two_aliases() -> None:
    assert set(PROTOCOLS) >= {"smtp", "tls", "xmpp-server", "submission", "submissions"}


@pytest.mark.parametrize(
    ("statuses", "status"), [((), 0), ((0, 0), 0), ((0, 3), 3), ((3, 4, 0), 4), ((4, 1, 3), 1), ((0, 4), 4)]
)
def test_of_several_the_gravest_counts(statuses: tuple[int, ...], status: int) -> None:
    assert exit_status(statuses) == status
