"""Animals that are right, or nearly: every sender of mail that obeys DANE delivers to them."""

from zoo.animal import Animal, Host, Pin, Server, everybody

_AUTHENTICATED = everybody("authenticated")
_PROPER = Server()
_BOTH = Server((("leaf", "intermediate", "root"), ("rsa", "intermediate", "root")))
_EE = Pin(3, 1, 1)
_TA = Pin(2, 1, 1)


_STS = ('_mta-sts.{} TXT "v=STSv1; id=1;"',)


def _policy(host: str) -> str:
    return f"version: STSv1\r\nmode: enforce\r\nmx: {host}\r\nmax_age: 604800\r\n"


def _good(name: str, says: str, *pins: Pin, server: Server = _PROPER, codes: str = "") -> Animal:
    """Return an animal with one host at one address that everybody delivers to."""
    return Animal(name, says, _AUTHENTICATED, 0, (Host(pins=pins, servers=(server,)),), codes=codes)


RIGHT: tuple[Animal, ...] = (
    _good("ee-key", "`3 1 1`, the digest of the key", _EE),
    _good("ee-certificate", "`3 0 1`, the digest of the certificate", Pin(3, 0, 1), codes="selector-0-automatic"),
    _good("ee-key-sha512", "`3 1 2`", Pin(3, 1, 2)),
    _good("ee-key-full", "`3 1 0`, the whole key", Pin(3, 1, 0)),
    _good("ee-certificate-full", "`3 0 0`, the whole certificate", Pin(3, 0, 0), codes="selector-0-automatic"),
    _good("ta-certificate", "`2 0 1` of the root, which is presented", Pin(2, 0, 1)),
    _good("ta-key", "`2 1 1` of the root, which is presented", _TA),
    _good(
        "ta-intermediate",
        "`2 1 1` of the intermediate; no root is presented",
        Pin(2, 1, 1, "intermediate"),
        server=Server((("leaf", "intermediate"),)),
    ),
    _good(
        "ta-full",
        "`2 0 0`: the root stands in DNS, and is not presented",
        Pin(2, 0, 0),
        server=Server((("leaf", "intermediate"),)),
    ),
    _good(
        "ta-key-full",
        "`2 1 0`: the root's key stands in DNS, and the root is not presented",
        Pin(2, 1, 0),
        server=Server((("leaf", "intermediate"),)),
    ),
    _good("both-covered", "RSA and ECDSA, a `3 1 1` of each", _EE, Pin(3, 1, 1, "rsa"), server=_BOTH),
    _good("both-by-ta", "RSA and ECDSA, one `2 1 1` of the root of both", _TA, server=_BOTH),
    _good("stale-beside", "a stale `3 1 1` beside a good one", Pin(3, 1, 1, "second"), _EE),
    _good("next-key", "`3 1 1` of the key, and of the next key", _EE, Pin(3, 1, 1, "next")),
    _good("both-digests", "`3 1 1` and `3 1 2` of the same key", _EE, Pin(3, 1, 2)),
    _good(
        "unusable-beside",
        "`1 1 1` and an unknown matching type beside a good `3 1 1`",
        Pin(1, 1, 1),
        Pin(3, 1, 7, data=b"\7" * 32),
        _EE,
        codes="unusable-parameters usage-at-port-25",
    ),
    _good(
        "short-beside",
        "a digest of 31 octets beside a good `3 1 1`",
        Pin(3, 1, 1, data=b"\1" * 31),
        _EE,
        codes="wrong-digest-length",
    ),
    _good(
        "many-records",
        "twenty records, the last of which matches",
        *(Pin(3, 1, 1, data=bytes([number]) * 32) for number in range(19)),
        _EE,
        codes="too-many-records",
    ),
    _good(
        "misnamed-ee",
        "the certificate is somebody else's, `3 1 1`",
        _EE._replace(of="misnamed"),
        server=Server((("misnamed", "intermediate", "root"),)),
        codes="name-mismatch",
    ),
    _good("self-signed", "self-signed, `3 1 1`", Pin(3, 1, 1, "self-signed"), server=Server((("self-signed",),))),
    _good(
        "out-of-order",
        "`2 1 1`; the root is presented before the intermediate",
        _TA,
        server=Server((("leaf", "root", "intermediate"),)),
    ),
    _good(
        "cross-signed",
        "`2 1 1` of the root's key; what is presented is its cross-certificate",
        _TA,
        server=Server((("leaf", "intermediate", "cross"),)),
    ),
    _good(
        "wildcard",
        "`2 1 1`; the certificate is for `*.` and the parent of the host's name",
        _TA,
        server=Server((("wildcard", "intermediate", "root"),)),
    ),
    _good(
        "long-chain",
        "forty certificates behind the leaf that nobody needs, `3 1 1`",
        _EE,
        server=Server((("leaf", "filler40"),)),
        codes="chain-incomplete",
    ),
    _good(
        "by-name",
        "presents the right chain to those who ask for its name alone (SNI)",
        _EE,
        server=Server((("leaf", "intermediate", "root"), ("misnamed", "intermediate", "root")), "by-name"),
    ),
    Animal(
        "two-addresses",
        "two addresses with a certificate each, a `3 1 1` of both",
        _AUTHENTICATED,
        0,
        (Host(pins=(_EE, Pin(3, 1, 1, "second")), servers=(Server(), Server((("second", "intermediate"),)))),),
    ),
    Animal("two-hosts", "two MX hosts, each with a key of its own", _AUTHENTICATED, 0, (Host("mx1"), Host("mx2"))),
    Animal(
        "shared-key",
        "two MX hosts over the same key",
        _AUTHENTICATED,
        0,
        (Host("mx1"), Host("mx2", pins=(Pin(3, 1, 1, "mx1:leaf"),), servers=(Server((("mx1:leaf",),)),))),
        codes="name-mismatch chain-incomplete",
    ),
    Animal(
        "real-postfix",
        "the world's own Postfix, `3 1 1`",
        _AUTHENTICATED,
        0,
        (Host(pins=(Pin(3, 1, 1, "postfix"),), servers=(Server((("postfix",),), "postfix"),)),),
        codes="name-mismatch",
    ),
    Animal("no-mx", "no MX: the domain is its own host", _AUTHENTICATED, 0, (Host(""),), mx=()),
    Animal(
        "tlsa-alias",
        "the TLSA owner name is an alias",
        _AUTHENTICATED,
        0,
        (Host(owner="tlsa.{}"),),
        lines=("_25._tcp.mail.{} CNAME tlsa.{}",),
    ),
    Animal(
        "tlsa-wildcard",
        "the records come from a wildcard, `*._tcp`",
        _AUTHENTICATED,
        0,
        (Host(owner="*._tcp.mail.{}"),),
        codes="wildcard-tlsa",
    ),
    Animal(
        "mx-alias",
        "the MX is an alias; records at the name that it leads to",
        _AUTHENTICATED,
        0,
        (Host(met="alias.{}"),),
        lines=("alias.{} CNAME mail.{}",),
        codes="mx-is-alias name-mismatch",
    ),
    Animal(
        "mx-alias-original",
        "the MX is an alias; records at the alias alone",
        _AUTHENTICATED,
        0,
        (Host(met="alias.{}", base="alias.{}"),),
        lines=("alias.{} CNAME mail.{}",),
        codes="mx-is-alias name-mismatch",
    ),
    Animal(
        "alias-leaves",
        "the MX is an alias that leads into an unsigned zone; records at the alias",
        _AUTHENTICATED,
        0,
        (Host(home="open.zoo", met="alias.{}", base="alias.{}"),),
        lines=("alias.{} CNAME mail.alias-leaves.open.zoo",),
        codes="mx-is-alias alias-insecure name-mismatch",
    ),
    Animal(
        "differing-servers",
        "two name servers, one of which still has the previous key's record too",
        _AUTHENTICATED,
        0,
        (Host(home="differs.zoo"),),
        codes="servers-differ",
    ),
    _good("ed25519", "an Ed25519 key, `3 1 1`", Pin(3, 1, 1, "ed25519"), server=Server((("ed25519", "intermediate"),))),
    _good("tls12-only", "TLS 1.2 alone", _EE, server=Server(manners="tls12")),
    _good("tls13-only", "TLS 1.3 alone", _EE, server=Server(manners="tls13")),
    _good("slow", "says nothing for two seconds (a greet delay)", _EE, server=Server(manners="slow")),
    _good(
        "common-name",
        "`2 1 1`; the certificate has no DNS names, and the host's as common name",
        _TA,
        server=Server((("common-name", "intermediate", "root"),)),
    ),
    _good(
        "weak-key", "RSA of 1024 bits, `3 1 1`", Pin(3, 1, 1, "rsa1024"), server=Server((("rsa1024", "intermediate"),))
    ),
    _good(
        "certificate-stale-beside",
        "a stale `3 0 1` beside a good `3 1 1`",
        Pin(3, 0, 1, "second"),
        _EE,
        codes="stale-record",
    ),
    _good(
        "ta-beside-stale", "a good `2 1 1` beside a stale `3 1 1`", _TA, Pin(3, 1, 1, "second"), codes="stale-record"
    ),
    Animal(
        "domain-alias",
        "the domain is an alias of another, whose MX host is good",
        _AUTHENTICATED,
        0,
        (),
        mx=(),
        lines=("{} CNAME ee-key.zoo",),
    ),
    Animal(
        "mta-sts",
        "an MTA-STS policy that agrees, and TLSRPT",
        _AUTHENTICATED,
        0,
        lines=(*_STS, '_smtp._tls.{} TXT "v=TLSRPTv1; rua=mailto:tls@{}"'),
        policy=_policy("mail.{}"),
    ),
    Animal(
        "mta-sts-elsewhere",
        "an MTA-STS policy that lists another host",
        _AUTHENTICATED,
        0,
        lines=_STS,
        policy=_policy("mx.elsewhere.example"),
        codes="mta-sts-host-not-listed",
    ),
    Animal(
        "mta-sts-silent",
        "an MTA-STS record, and no policy behind it",
        _AUTHENTICATED,
        0,
        lines=_STS,
        codes="mta-sts-unreadable",
    ),
    Animal(
        "mta-sts-misnamed",
        "`3 1 1`, an MTA-STS policy, and a certificate that is somebody else's",
        _AUTHENTICATED,
        0,
        (Host(pins=(Pin(3, 1, 1, "misnamed"),), servers=(Server((("misnamed", "intermediate", "root"),)),)),),
        lines=_STS,
        policy=_policy("mail.{}"),
        codes="mta-sts-certificate name-mismatch",
    ),
)
