"""Why others say something else than danelaw: each disagreement found, with its reason."""

from zoo.agreement import Reason
from zoo.oracles import Tool


def _why(says: str, animals: tuple[str, ...], *tools: Tool, chance: bool = False) -> tuple[Reason, ...]:
    """Return one reason for several tools."""
    return tuple(Reason(tool, says, animals, chance) for tool in tools)


REASONS: tuple[Reason, ...] = (
    # --- who looks at less than all -----------------------------------------------------------------------------------
    *_why(
        "goes on to another address or MX host, and delivers there; danelaw's verdict is the worst of them.",
        ("one-address-mismatch", "some-starttls", "second-host-mismatch", "second-host-bogus", "one-host-without"),
        "Postfix",
        "Exim",
    ),
    *_why(
        "goes on to the address that answers; danelaw says that it could not look at the other one.",
        ("one-deaf-address",),
        "Postfix",
        "Exim",
        "posttls-finger",
        "danetool",
        "smtp-dane-verify",
    ),
    *_why(
        "asks one address, whichever comes first.",
        ("one-address-mismatch", "some-starttls"),
        "posttls-finger",
        "danetool",
        "smtp-dane-verify",
        chance=True,
    ),
    *_why(
        "is done with the first MX host that it reaches, and says nothing of the others.",
        ("second-host-mismatch", "second-host-bogus", "one-host-without"),
        "posttls-finger",
    ),
    *_why(
        "asks for any kind of certificate, is shown ECDSA, and never meets the RSA one.",
        ("rsa-mismatch",),
        "Postfix",
        "Exim",
        "posttls-finger",
        "danetool",
        "smtp-dane-verify",
    ),
    *_why(
        "has no STARTTLS and is given the chain in a file: it does not see how the server behaves.",
        ("some-starttls", "one-deaf-address", "huge-chain"),
        "ldns-dane",
    ),
    # --- names --------------------------------------------------------------------------------------------------------
    *_why(
        "looks for records at the name that it is given, and not where an alias leads (RFC 7672 section 2.2.3).",
        ("mx-alias",),
        "danetool",
        "ldns-dane",
        "smtp-dane-verify",
    ),
    *_why(
        "is told one name, the MX host's; a sender may take the next-hop domain too (RFC 7672 section 3.2.2).",
        ("domain-named-ta",),
        "ldns-dane",
        "s_client",
        "smtp-dane-verify",
    ),
    *_why("does not look at the names of the certificate.", ("misnamed-ta", "part-wildcard"), "danetool"),
    *_why(
        "OpenSSL lets a wildcard be a part of a label, unless it is told otherwise (RFC 7672 section 3.2.3), as by "
        "Postfix.",
        ("part-wildcard",),
        "ldns-dane",
        "s_client",
        "smtp-dane-verify",
    ),
    *_why(
        "goes to an address where the MX record ought to have a name (RFC 5321 section 5.1); danelaw does not.",
        ("mx-literal",),
        "Postfix",
        "posttls-finger",
    ),
    # --- records and certificates -------------------------------------------------------------------------------------
    *_why(
        "takes usages 0 and 1 as at other ports; at port 25 nobody can use them (RFC 7672 section 3.1.3).",
        ("usage-0", "usage-1"),
        "ldns-dane",
        "s_client",
    ),
    *_why(
        "takes usages 0 and 1 without asking for a public root, which would be their point.",
        ("usage-0", "usage-1"),
        "danetool",
    ),
    *_why(
        "with GnuTLS it delivers unauthenticated where no record is usable; with OpenSSL it defers.",
        ("usage-0", "usage-1", "short-digest", "unknown-matching"),
        "Exim",
    ),
    *_why(
        "takes a record that nobody can use for one that does not match.",
        ("short-digest", "unknown-matching"),
        "danetool",
    ),
    *_why(
        "reads records with dnspython, which loses all of them where one digest has a wrong length.",
        ("short-beside", "short-digest"),
        "smtp-dane-verify",
    ),
    *_why(
        "GnuTLS knows no digest agility (RFC 7671 section 9): the weaker digest is as good.",
        ("stale-stronger",),
        "Exim",
        "danetool",
    ),
    *_why(
        "GnuTLS looks for the CA among what is presented; it may stand in DNS alone (RFC 7671 sections 5.2.2, 5.2.3).",
        ("ta-full", "ta-key-full"),
        "Exim",
        "danetool",
    ),
    *_why(
        "OpenSSL does not look at the dates of a pinned CA certificate that another CA issued.",
        ("expired-pinned-ca",),
        "Postfix",
        "posttls-finger",
        "ldns-dane",
        "s_client",
        "smtp-dane-verify",
    ),
    *_why(
        "OpenSSL as Debian sets it takes no RSA key of 1024 bits; Postfix has a setting of its own.",
        ("weak-key",),
        "ldns-dane",
        "s_client",
        "smtp-dane-verify",
    ),
    *_why("ends without a verdict where a CA is pinned and the leaf comes alone.", ("incomplete-chain",), "danetool"),
    *_why("crashes where more than some thirty certificates are presented.", ("long-chain", "huge-chain"), "danetool"),
    # --- servers ------------------------------------------------------------------------------------------------------
    *_why("GnuTLS takes larger chains than OpenSSL does, which stops at 100 KiB.", ("huge-chain",), "Exim"),
    *_why("GnuTLS still speaks TLS 1.0 and 1.1.", ("old-tls",), "Exim", "danetool"),
    *_why(
        "does not notice, or throws away, what was injected; danelaw takes nothing for sound that begins so, nor does "
        "Exim.",
        ("injected",),
        "Postfix",
        "posttls-finger",
        "danetool",
        "s_client",
        "smtp-dane-verify",
    ),
    *_why(
        "cuts a line that is too long (RFC 5321 section 4.5.3.1.5) and reads on; danelaw reads no more.",
        ("long-line",),
        "Postfix",
        "posttls-finger",
    ),
    *_why(
        "goes on where there is no STARTTLS, whatever the banner said, and fails in the handshake.",
        ("greylisting", "rejecting", "long-line"),
        "s_client",
    ),
    *_why(
        "says nothing where it gets no certificate, for whatever reason.",
        ("no-starttls", "starttls-refused", "garbled", "hanging-up"),
        "danetool",
    ),
    # --- look-ups -----------------------------------------------------------------------------------------------------
    *_why(
        "takes a look-up that fails for an absence of records: whoever can make it fail turns DANE off (RFC 7672 "
        "section 2.1.2).",
        ("tlsa-dropped", "tlsa-servfail", "nxdomain-lie"),
        "danetool",
    ),
    *_why(
        "takes what it cannot validate for insecure, and goes on without DANE (RFC 7672 section 2.1.2: an error).",
        ("bogus-tlsa", "nxdomain-lie"),
        "ldns-dane",
    ),
    *_why(
        "cannot resolve the name, and does not say why.",
        ("bogus-host", "bogus-domain", "second-host-bogus"),
        "danetool",
    ),
    *_why(
        "validates no DNSSEC: it takes insecure records for secure ones.",
        ("insecure-host", "insecure-host-mismatch", "unsigned", "insecure-tlsa"),
        "smtp-dane-verify",
    ),
    *_why(
        "knows valid and not valid, and nothing between them: nothing to authenticate by, or nobody there.",
        ("usage-0", "usage-1", "unknown-matching", "greylisting", "rejecting", "flooding", "long-line", "deaf"),
        "smtp-dane-verify",
    ),
)
