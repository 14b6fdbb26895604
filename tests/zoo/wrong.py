"""Animals that some sender or all senders that obey DANE do not deliver to, or whose records protect nothing."""

from collections.abc import Mapping
from typing import Literal

from danelaw.model import Outcome, Sender
from zoo.animal import EMPTY, Animal, Host, Pin, Server, everybody, senders

_DEFERRED = everybody("deferred")
_PROPER = Server()
_EE = Pin(3, 1, 1)
_TA = Pin(2, 1, 1)
_STALE = Pin(3, 1, 1, "second")
_UNUSABLE = senders("encrypted", "deferred", "encrypted", "encrypted")
_INSECURE_MX_MISMATCH = senders("deferred", "opportunistic", "opportunistic", "opportunistic")
_BOTH = Server((("leaf", "intermediate", "root"), ("rsa", "intermediate", "root")))


def _bad(
    name: str,
    says: str,
    *pins: Pin,
    server: Server = _PROPER,
    expected: Mapping[Sender, Outcome] = _DEFERRED,
    status: Literal[1, 3, 4] = 1,
    lines: tuple[str, ...] = (),
    codes: str = "mismatch mail-stops",
) -> Animal:
    """Return an animal with one host at one address that nobody delivers to, unless ``expected`` says otherwise."""
    return Animal(name, says, expected, status, (Host(pins=pins, servers=(server,)),), lines=lines, codes=codes)


MISMATCHING: tuple[Animal, ...] = (
    _bad("mismatch", "`3 1 1` of a key that was replaced", _STALE),
    _bad(
        "renewed-certificate",
        "`3 0 1` of the certificate before a renewal over the same key",
        Pin(3, 0, 1),
        server=Server((("renewed", "intermediate", "root"),)),
    ),
    _bad(
        "ecdsa-mismatch",
        "RSA and ECDSA; a `3 1 1` of the RSA key alone",
        Pin(3, 1, 1, "rsa"),
        server=_BOTH,
        codes="mismatch-of-algorithm mail-stops",
    ),
    _bad(
        "rsa-mismatch",
        "RSA and ECDSA; a `3 1 1` of the ECDSA key alone",
        _EE,
        server=_BOTH,
        codes="mismatch-of-algorithm mail-stops",
    ),
    Animal(
        "one-address-mismatch",
        "two addresses with a certificate each, a `3 1 1` of the first alone",
        _DEFERRED,
        1,
        (Host(servers=(Server(), Server((("second", "intermediate"),)))),),
        codes="mismatch-at-address",
    ),
    _bad(
        "stale-stronger",
        "a stale `3 1 2` beside a good `3 1 1`",
        Pin(3, 1, 2, "second"),
        _EE,
        expected=senders("deferred", "deferred", "authenticated", "authenticated"),
        codes="stale-stronger-record mail-stops",
    ),
    _bad(
        "usage-1",
        "`1 1 1` alone, which port 25 has no use for",
        Pin(1, 1, 1),
        expected=_UNUSABLE,
        codes="all-unusable usage-at-port-25 mail-stops",
    ),
    _bad(
        "usage-0",
        "`0 1 1` alone, which port 25 has no use for",
        Pin(0, 1, 1, "root"),
        expected=_UNUSABLE,
        codes="all-unusable usage-at-port-25 mail-stops",
    ),
    _bad(
        "short-digest",
        "`3 1 1` with a digest of 20 octets",
        Pin(3, 1, 1, data=b"\1" * 20),
        expected=_UNUSABLE,
        codes="all-unusable wrong-digest-length mail-stops",
    ),
    _bad(
        "unknown-matching",
        "`3 1 7`",
        Pin(3, 1, 7, data=b"\7" * 32),
        expected=_UNUSABLE,
        codes="all-unusable unusable-parameters mail-stops",
    ),
    _bad(
        "expired-ee",
        "the certificate expired, `3 1 1`",
        Pin(3, 1, 1, "expired"),
        server=Server((("expired", "intermediate", "root"),)),
        expected=senders("authenticated", "authenticated", "authenticated", "deferred"),
        codes="certificate-expired mail-stops",
    ),
    _bad(
        "empty-digest",
        "`3 1 1` with the digest of an empty string",
        Pin(3, 1, 1, data=EMPTY),
        codes="mismatch empty-digest mail-stops",
    ),
    _bad(
        "expired-ta",
        "the certificate expired, `2 0 1`",
        Pin(2, 0, 1),
        server=Server((("expired", "intermediate", "root"),)),
        codes="certificate-expired mail-stops",
    ),
    _bad(
        "misnamed-ta",
        "the certificate is somebody else's, `2 1 1`",
        _TA,
        server=Server((("misnamed", "intermediate", "root"),)),
        codes="name-mismatch mail-stops",
    ),
    _bad(
        "domain-named-ta",
        "the certificate names the domain and not its MX host, `2 1 1`",
        _TA,
        server=Server((("domain-named", "intermediate", "root"),)),
        expected=senders("authenticated", "deferred", "authenticated", "authenticated"),
        codes="name-mismatch mail-stops",
    ),
    _bad(
        "ta-not-presented",
        "`2 1 1` of the root, which is not presented",
        _TA,
        server=Server((("leaf", "intermediate"),)),
        codes="ta-not-presented mail-stops",
    ),
    _bad(
        "incomplete-chain",
        "`2 1 1` of the root; the leaf is presented alone",
        _TA,
        server=Server((("leaf",),)),
        codes="ta-not-presented chain-incomplete mail-stops",
    ),
    _bad(
        "stale-ta",
        "`2 1 1` of an intermediate that the CA no longer issues with",
        Pin(2, 1, 1, "old-root"),
        codes="ta-not-presented mail-stops",
    ),
    Animal(
        "second-host-mismatch",
        "two MX hosts, a stale `3 1 1` at the second: mail gets through by the first",
        _DEFERRED,
        1,
        (Host("mx1"), Host("mx2", pins=(_STALE,))),
        codes="mismatch",
    ),
)

SERVERS: tuple[Animal, ...] = (
    _bad(
        "no-starttls", "records, and no STARTTLS", _EE, server=Server(manners="plain"), codes="no-starttls mail-stops"
    ),
    Animal(
        "some-starttls",
        "two addresses, STARTTLS at the first alone",
        _DEFERRED,
        1,
        (Host(servers=(Server(), Server(manners="plain"))),),
        codes="no-starttls-at-address",
    ),
    _bad(
        "starttls-refused",
        "offers STARTTLS and answers 454 to it",
        _EE,
        server=Server(manners="refuses"),
        codes="starttls-refused mail-stops",
    ),
    _bad(
        "greylisting",
        "450 in its banner",
        _EE,
        server=Server(manners="greylists"),
        expected=everybody("unknown"),
        status=4,
        codes="greylisting-banner",
    ),
    _bad(
        "rejecting",
        "554 in its banner",
        _EE,
        server=Server(manners="rejects"),
        expected=everybody("unknown"),
        status=4,
        codes="rejecting-banner",
    ),
    _bad("old-tls", "TLS 1.0 and 1.1 alone", _EE, server=Server(manners="old"), codes="tls-too-old mail-stops"),
    _bad(
        "garbled",
        "what comes after STARTTLS is no TLS",
        _EE,
        server=Server(manners="garbled"),
        codes="not-tls mail-stops",
    ),
    _bad(
        "injected",
        "plaintext behind its reply to STARTTLS",
        _EE,
        server=Server(manners="injects"),
        codes="plaintext-injected mail-stops",
    ),
    _bad(
        "huge-chain",
        "a chain of 150 KB, `3 1 1`",
        _EE,
        server=Server((("leaf", "filler150"),)),
        codes="tls-failed mail-stops",
    ),
    _bad(
        "silent",
        "takes connections and says nothing",
        _EE,
        server=Server(manners="silent"),
        expected=everybody("unknown"),
        status=4,
        codes="silent-server",
    ),
    _bad(
        "flooding",
        "a banner without end",
        _EE,
        server=Server(manners="floods"),
        expected=everybody("unknown"),
        status=4,
        codes="flood",
    ),
    _bad(
        "deaf",
        "nothing listens",
        _EE,
        server=Server(manners="deaf"),
        expected=everybody("unknown"),
        status=4,
        codes="connection-refused",
    ),
    Animal(
        "one-deaf-address",
        "two addresses, nothing listens at the second",
        everybody("unknown"),
        4,
        (Host(servers=(Server(), Server(manners="deaf"))),),
        codes="connection-refused",
    ),
)

NAMES: tuple[Animal, ...] = (
    _bad("no-tlsa", "signed, and no records", expected=everybody("opportunistic"), status=3, codes="no-tlsa"),
    _bad(
        "tlsa-at-domain",
        "the record stands at the domain and not at its MX host",
        expected=everybody("opportunistic"),
        status=3,
        lines=(f"_25._tcp.{{}} TLSA 3 1 1 {'ab' * 32}",),
        codes="tlsa-at-domain no-tlsa",
    ),
    Animal(
        "insecure-mx",
        "an unsigned domain, its MX host in a signed zone with a good record",
        senders("authenticated", "opportunistic", "opportunistic", "opportunistic"),
        3,
        home="open.zoo",
        codes="mx-insecure",
    ),
    Animal(
        "insecure-mx-mismatch",
        "an unsigned domain, its MX host in a signed zone with a stale record",
        _INSECURE_MX_MISMATCH,
        1,
        (Host(pins=(_STALE,)),),
        home="open.zoo",
        codes="mismatch mx-insecure mail-stops",
    ),
    Animal(
        "insecure-host",
        "a signed domain, its MX host in an unsigned zone, with a record there",
        everybody("opportunistic"),
        3,
        (Host(home="open.zoo"),),
        codes="address-insecure",
    ),
    Animal(
        "insecure-host-mismatch",
        "the same with a stale record",
        everybody("opportunistic"),
        3,
        (Host(home="open.zoo", pins=(_STALE,)),),
        codes="address-insecure",
    ),
    Animal(
        "unsigned",
        "all of it unsigned, with a good record",
        everybody("opportunistic"),
        3,
        (Host(home="open.zoo"),),
        home="open.zoo",
        codes="address-insecure mx-insecure",
    ),
    Animal(
        "bogus-host",
        "the MX host's zone is bogus: the DS matches no key",
        _DEFERRED,
        1,
        (Host(home="bogus.zoo"),),
        codes="address-bogus mail-stops",
    ),
    Animal(
        "bogus-domain",
        "the domain's zone is bogus: the DS matches no key",
        _DEFERRED,
        1,
        (Host(home="bogus.zoo"),),
        home="bogus.zoo",
        codes="mx-bogus",
    ),
    Animal(
        "bogus-tlsa",
        "the records stand in a zone that is bogus",
        _DEFERRED,
        1,
        (Host(owner="tlsa.bogus-tlsa.bogus.zoo"),),
        lines=("_25._tcp.mail.{} CNAME tlsa.bogus-tlsa.bogus.zoo",),
        codes="tlsa-bogus mail-stops",
    ),
    Animal(
        "insecure-tlsa",
        "the TLSA owner name is an alias into an unsigned zone",
        everybody("opportunistic"),
        3,
        (Host(owner="tlsa.insecure-tlsa.open.zoo"),),
        lines=("_25._tcp.mail.{} CNAME tlsa.insecure-tlsa.open.zoo",),
        codes="tlsa-insecure",
    ),
    Animal(
        "tlsa-dropped",
        "a name server that never answers questions for TLSA",
        _DEFERRED,
        1,
        (Host(home="drops.zoo"),),
        codes="tlsa-dropped server-silent mail-stops",
    ),
    Animal(
        "tlsa-servfail",
        "a name server that answers SERVFAIL to questions for TLSA",
        _DEFERRED,
        1,
        (Host(home="fails.zoo"),),
        codes="tlsa-lookup-failed server-silent mail-stops",
    ),
    Animal(
        "nxdomain-lie",
        "a name server that says NXDOMAIN to questions for TLSA, without a proof",
        _DEFERRED,
        1,
        (Host(home="lies.zoo"),),
        codes="tlsa-bogus mail-stops",
    ),
    Animal(
        "one-host-without",
        "two MX hosts, no records at the second",
        everybody("opportunistic"),
        3,
        (Host("mx1"), Host("mx2", pins=())),
        codes="dane-on-some-hosts no-tlsa",
    ),
    Animal("null-mx", "takes no mail (null MX)", {}, 3, (), mx=("0 .",)),
    Animal("no-such-domain", "does not exist", everybody("unknown"), 4, (), mx=(), codes="no-such-domain"),
    Animal(
        "no-such-host",
        "its MX host does not exist",
        everybody("unknown"),
        4,
        (),
        mx=("10 mail.{}.",),
        codes="host-without-address",
    ),
)

WRONG = (*MISMATCHING, *SERVERS, *NAMES)
