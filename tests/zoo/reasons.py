"""Why tools say something else than danelaw: each disagreement found, with its reason."""

from zoo.agreement import Reason
from zoo.oracles import Tool


def _same(says: str, animals: tuple[str, ...], *tools: Tool, chance: bool = False) -> tuple[Reason, ...]:
    return tuple(Reason(tool, says, animals, chance) for tool in tools)


_ONE_NAME = "It looks for records at the name that it is given, and not where an alias leads (RFC 7672 section 2.2.3)."
_NO_NEXT_HOP = "It is told one name, the MX host's; a sender may take the next-hop domain too (RFC 7672 section 3.2.2)."
_USAGES = "It takes usages 0 and 1 as at other ports; at port 25 nobody can use them (RFC 7672 section 3.1.3)."
_INJECTED = "It does not notice, or throws away, what was injected; danelaw takes nothing for sound that begins so."
_ONE_KIND = "It asks for any kind of certificate, is shown ECDSA, and never meets the RSA one."
_ONE_ADDRESS = "It asks one address, whichever comes first."
_NEXT_ADDRESS = "It goes on to the address that answers; danelaw says that it could not look at the other one."
_ELSEWHERE = "It goes on to another address or MX host, and delivers there; danelaw's verdict is the worst of them."
_ANCHOR_DATES = "OpenSSL does not look at the dates of a pinned CA certificate that another CA issued."
_PART = (
    "OpenSSL lets a wildcard be a part of a label, unless it is told otherwise (RFC 7672 section 3.2.3), as by Postfix."
)
_WEAK = "OpenSSL as Debian sets it takes no RSA key of 1024 bits; Postfix has a setting of its own."
_LITERAL = "It goes to an address where the MX record ought to have a name (RFC 5321 section 5.1); danelaw does not."
_LONG = "It cuts a line that is too long (RFC 5321 section 4.5.3.1.5) and reads on; danelaw reads no more."
_FILE = "It has no STARTTLS and is given the chain in a file: it does not see how the server behaves."

REASONS: tuple[Reason, ...] = (
    *_same(
        _ELSEWHERE,
        ("one-address-mismatch", "some-starttls", "second-host-mismatch", "one-host-without", "second-host-bogus"),
        "Postfix",
    ),
    *_same(_NEXT_ADDRESS, ("one-deaf-address",), "Postfix", "posttls-finger", "danetool", "smtp-dane-verify"),
    *_same(
        _ONE_ADDRESS,
        ("one-address-mismatch", "some-starttls"),
        "posttls-finger",
        "danetool",
        "smtp-dane-verify",
        chance=True,
    ),
    *_same(_ONE_KIND, ("rsa-mismatch",), "Postfix", "posttls-finger", "danetool", "smtp-dane-verify"),
    *_same(_INJECTED, ("injected",), "Postfix", "posttls-finger", "danetool", "s_client", "smtp-dane-verify"),
    *_same(_ONE_NAME, ("mx-alias",), "danetool", "ldns-dane", "smtp-dane-verify"),
    *_same(_NO_NEXT_HOP, ("domain-named-ta",), "ldns-dane", "s_client", "smtp-dane-verify"),
    *_same(_USAGES, ("usage-0", "usage-1"), "ldns-dane", "s_client"),
    *_same(
        _ANCHOR_DATES, ("expired-pinned-ca",), "Postfix", "posttls-finger", "ldns-dane", "s_client", "smtp-dane-verify"
    ),
    *_same(_PART, ("part-wildcard",), "ldns-dane", "s_client", "smtp-dane-verify"),
    *_same(_WEAK, ("weak-key",), "ldns-dane", "s_client", "smtp-dane-verify"),
    *_same(_LONG, ("long-line",), "Postfix", "posttls-finger"),
    *_same(_LITERAL, ("mx-literal",), "Postfix", "posttls-finger"),
    Reason(
        "danetool",
        "It takes usages 0 and 1 without asking for a public root, which would be their point.",
        ("usage-0", "usage-1"),
    ),
    Reason(
        "posttls-finger",
        "It is done with the first MX host that it reaches, and says nothing of the others.",
        ("second-host-mismatch", "one-host-without", "second-host-bogus"),
    ),
    Reason(
        "danetool",
        "It does not look at the names of the certificate, for usage 2 either.",
        ("misnamed-ta", "part-wildcard"),
    ),
    Reason(
        "danetool",
        "It knows no digest agility (RFC 7671 section 9): the weaker digest is as good.",
        ("stale-stronger",),
    ),
    Reason(
        "danetool",
        "It takes a record that nobody can use for one that does not match.",
        ("short-digest", "unknown-matching"),
    ),
    Reason(
        "danetool",
        "It looks for the CA in what is presented only; it may stand in DNS alone (RFC 7671 sections 5.2.2, 5.2.3).",
        ("ta-full", "ta-key-full"),
    ),
    Reason("danetool", "GnuTLS still speaks TLS 1.0 and 1.1.", ("old-tls",)),
    Reason(
        "danetool",
        "It crashes where more certificates are presented than it has room for.",
        ("long-chain", "huge-chain"),
    ),
    Reason(
        "danetool",
        "It takes a look-up that fails for an absence of records: whoever can make it fail turns DANE off "
        "(RFC 7672 section 2.1.2).",
        ("tlsa-dropped", "tlsa-servfail", "nxdomain-lie"),
    ),
    Reason(
        "danetool",
        "It cannot resolve the name, and does not say why.",
        ("bogus-host", "bogus-domain", "second-host-bogus"),
    ),
    Reason(
        "danetool",
        "It says nothing where it gets no certificate, for whatever reason.",
        ("no-starttls", "starttls-refused", "garbled", "hanging-up"),
    ),
    Reason(
        "danetool", "It ends without a verdict where a CA is pinned and the leaf comes alone.", ("incomplete-chain",)
    ),
    Reason("ldns-dane", _FILE, ("some-starttls", "one-deaf-address", "huge-chain")),
    Reason(
        "ldns-dane",
        "It takes what it cannot validate for insecure, and goes on without DANE (RFC 7672 section 2.1.2: an error).",
        ("bogus-tlsa", "nxdomain-lie"),
    ),
    Reason(
        "s_client",
        "It goes on where there is no STARTTLS, whatever the banner said, and fails in the handshake.",
        ("greylisting", "rejecting", "long-line"),
    ),
    Reason(
        "smtp-dane-verify",
        "It validates no DNSSEC: it takes insecure records for secure ones.",
        ("insecure-host", "insecure-host-mismatch", "unsigned", "insecure-tlsa"),
    ),
    Reason(
        "smtp-dane-verify",
        "It reads records with dnspython, which loses all of them where one digest has a wrong length.",
        ("short-beside", "short-digest"),
    ),
    Reason(
        "smtp-dane-verify",
        "It knows valid and not valid, and nothing between them: nothing to authenticate by, or nobody there.",
        ("usage-0", "usage-1", "unknown-matching", "greylisting", "rejecting", "flooding", "long-line", "deaf"),
    ),
)
