"""The table of all findings: stable codes, how grave each can be, and where it stands."""

from collections.abc import Mapping
from typing import NamedTuple

from danelaw.model import Finding, Severity


class Code(NamedTuple):
    """One kind of finding. ``severities`` are all that it can have, the gravest first; ``title`` says what it is."""

    code: str
    severities: tuple[Severity, ...]
    rfc: str
    title: str


_E: tuple[Severity, ...] = ("error",)
_EW: tuple[Severity, ...] = ("error", "warning")
_W: tuple[Severity, ...] = ("warning",)
_N: tuple[Severity, ...] = ("note",)
_G: tuple[Severity, ...] = ("good",)

_TABLE = (
    # how the hosts are found
    Code("no-such-domain", _E, "RFC 5321 section 5.1", "the domain does not exist"),
    Code("null-mx", _N, "RFC 7505 section 3", "the domain takes no mail"),
    Code("no-such-service", _N, "RFC 7673 section 3.1", "the domain does not offer the service"),
    Code("mx-bogus", _E, "RFC 7672 section 2.1.1", "DNSSEC: the MX or SRV records are bogus"),
    Code("mx-lookup-failed", _E, "RFC 7672 section 2.1.2", "the look-up of the MX or SRV records fails"),
    Code("mx-insecure", _W, "RFC 7672 section 2.2.1", "the MX or SRV records are not signed"),
    Code("mx-implicit", _N, "RFC 5321 section 5.1", "no MX or SRV record: the domain is its own host"),
    Code("mx-malformed", _W, "RFC 1035 section 3.3.9", "MX or SRV records whose data is none"),
    Code("mx-null-beside-others", _W, "RFC 7505 section 3", "a null MX beside other MX records"),
    Code("mx-is-address", _E, "RFC 1035 section 3.3.9", "an MX record names an address"),
    Code("mx-is-alias", _W, "RFC 5321 section 5.1", "an MX host is an alias"),
    Code("host-without-address", ("error", "warning"), "RFC 5321 section 5.1", "a host without an address"),
    Code("hosts-left-out", _N, "", "more hosts than are looked at"),
    Code("addresses-left-out", _N, "", "more addresses of a host than are looked at"),
    Code("dane-on-some-hosts", _E, "RFC 7672 section 2.2.1", "some hosts are protected and others are not"),
    Code("same-key-everywhere", _N, "RFC 7672 section 2.2.3", "all hosts present the same key"),
    Code("mail-stops", _E, "RFC 7672 section 2.2", "some sender gets mail through by none of the hosts"),
    Code("protected", _G, "RFC 7672 section 2.2", "every sender authenticates every host"),
    # what DNS says of a host
    Code("address-bogus", _E, "RFC 7672 section 2.1.1", "DNSSEC: a host's addresses are bogus"),
    Code("address-lookup-failed", _E, "RFC 7672 section 2.1.2", "the look-up of a host's addresses fails"),
    Code("address-insecure", ("error", "warning"), "RFC 7672 section 2.2.2", "a host's addresses are not signed"),
    Code("alias-insecure", _W, "RFC 7672 section 2.2.2", "a signed alias leads to unsigned addresses"),
    Code("tlsa-bogus", ("error", "note"), "RFC 7672 section 2.1.1", "DNSSEC: the TLSA records are bogus"),
    Code("tlsa-lookup-failed", ("error", "note"), "RFC 7672 section 2.1.2", "the look-up of the TLSA records fails"),
    Code("tlsa-dropped", ("error", "note"), "RFC 7672 section 2.2.2", "the query for TLSA records gets no answer"),
    Code("tlsa-insecure", ("error", "warning"), "RFC 7672 section 2.2", "TLSA records in an unsigned zone"),
    Code("no-tlsa", _W, "RFC 7672 section 2.2", "a host has no TLSA records"),
    Code("tlsa-at-domain", ("error", "note"), "RFC 7672 section 2.2.3", "TLSA records at the domain, not at its MX"),
    Code("tcp-nxdomain", _W, "RFC 8020 section 2", "the name above the TLSA records is said not to exist"),
    Code("nsec3-iterations", _W, "RFC 9276 section 3.1", "NSEC3 with iterations"),
    Code("outdated-signing", _W, "RFC 8624 section 3.1", "zones signed by outdated means"),
    Code("signature-expires-soon", ("warning", "note"), "RFC 6781 section 4.4.2", "signatures about to expire"),
    # what the authoritative servers say
    Code("servers-differ", ("error", "warning"), "RFC 1034 section 4.3.5", "name servers serve different records"),
    Code("server-silent", _W, "RFC 1034 section 4.3.5", "a name server gives no answer"),
    Code("servers-not-asked", _N, "", "the name servers could not be asked one by one"),
    Code("signature-expired", _E, "RFC 4035 section 5.3.1", "a name server serves expired signatures"),
    Code("ttl-differs", _N, "RFC 1034 section 4.3.5", "name servers serve different TTLs"),
    Code("ttl-unexpected", _W, "RFC 7671 section 13", "the TTL is not the one asked for"),
    Code("ttl-too-long", _W, "RFC 7671 section 13", "the TTL is longer than a day"),
    Code("ttl-too-short", _N, "RFC 7671 section 13", "the TTL is shorter than five minutes"),
    Code("wildcard-tlsa", _W, "RFC 4592 section 3.3.1", "the TLSA records come from a wildcard"),
    Code("wildcard-host", _N, "RFC 4592 section 2.2.2", "the host's address comes from a wildcard"),
    # the records against what is presented
    Code("mismatch", _EW, "RFC 7672 section 2.2", "no TLSA record matches"),
    Code("mismatch-at-address", _EW, "RFC 7672 section 2.2", "no TLSA record matches at some addresses"),
    Code("mismatch-of-algorithm", _EW, "RFC 7671 section 8.4", "no TLSA record matches one kind of certificate"),
    Code("stale-stronger-record", _EW, "RFC 7671 section 9", "a stale stronger digest sets aside the one that matches"),
    Code("stale-record", _W, "RFC 7671 section 8", "records of a combination that matches nothing"),
    Code("next-key-published", _G, "RFC 7671 section 8.1", "a further key's record stands beside the one that matches"),
    Code("all-unusable", ("error", "warning"), "RFC 7672 section 2.2", "no TLSA record can be used"),
    Code("unusable-parameters", _W, "RFC 6698 section 4.1", "a usage, selector or matching type that nobody knows"),
    Code("usage-at-port-25", _W, "RFC 7672 section 3.1.3", "usage 0 or 1 at port 25"),
    Code("wrong-digest-length", _W, "RFC 6698 section 2.1.3", "a digest of the wrong length"),
    Code("full-data-broken", _W, "RFC 6698 section 4.1", "full data that is no certificate or key"),
    Code("empty-digest", _W, "RFC 6698 section 2.1.3", "the digest of an empty string"),
    Code("malformed-records", _W, "RFC 6698 section 2.1", "TLSA records whose data is none"),
    Code("selector-0-automatic", _W, "RFC 7671 section 5.1", "a record that the next automatic renewal breaks"),
    Code("too-many-records", _W, "RFC 7671 section 10.1", "more than 12 TLSA records"),
    # the connection
    Code("connection-refused", ("error", "warning"), "", "nothing listens"),
    Code("unreachable", ("error", "warning"), "", "the network says that the address cannot be reached"),
    Code("connection-timeout", ("error", "warning"), "", "no connection within the limit"),
    Code("silent-server", ("error", "warning"), "RFC 5321 section 3.1", "connected, and no word comes"),
    Code("hung-up", ("error", "warning"), "", "the server closes the connection before TLS"),
    Code("turned-away", ("error", "warning"), "RFC 5321 section 3.1", "the server closes before it says anything"),
    Code("greylisting-banner", ("error", "warning"), "RFC 7672 section 9.2", "a temporary refusal before STARTTLS"),
    Code("rejecting-banner", ("error", "warning"), "RFC 5321 section 3.1", "a refusal before STARTTLS"),
    Code("not-spoken", ("error", "warning"), "RFC 5321 section 4.2", "what answers does not speak the protocol"),
    Code("flood", ("error", "warning"), "RFC 5321 section 4.5.3.1.5", "endless lines before TLS"),
    Code("no-starttls", ("error", "warning"), "RFC 7672 section 2.2", "STARTTLS is not offered"),
    Code("no-starttls-at-address", ("error", "warning"), "RFC 7672 section 2.2", "STARTTLS is offered elsewhere only"),
    Code("starttls-refused", ("error", "warning"), "RFC 3207 section 4", "STARTTLS is offered and then refused"),
    Code("plaintext-injected", ("error", "warning"), "RFC 3207 section 6", "plaintext behind the reply to STARTTLS"),
    Code("not-tls", ("error", "warning"), "RFC 8446 section 5.1", "what answers is no TLS"),
    Code("tls-too-old", ("error", "warning"), "RFC 9325 section 3.1.1", "no TLS version of today"),
    Code("no-certificate", ("error", "warning"), "RFC 7672 section 8.2", "TLS without a certificate"),
    Code("bad-certificate", ("error", "warning"), "RFC 5280 section 4.1", "what is presented is no certificate"),
    Code("tls-alert", ("error", "warning"), "RFC 8446 section 6.2", "the server refuses the handshake"),
    Code("tls-failed", ("error", "warning"), "RFC 8446 section 4", "the handshake fails"),
    Code("old-tls-version", _W, "RFC 9325 section 3.1.1", "TLS 1.1 or older is the newest offered"),
    # the certificate
    Code("certificate-expired", ("error", "warning"), "RFC 7671 section 5.1", "a certificate has expired"),
    Code("certificate-not-yet-valid", ("error", "warning"), "RFC 7671 section 5.1", "a certificate is not valid yet"),
    Code("certificate-expires-soon", _W, "RFC 7671 section 5.1", "the certificate is about to expire"),
    Code("name-mismatch", ("error", "warning"), "RFC 7672 section 3.2.2", "the certificate is for other names"),
    Code("ta-not-presented", _EW, "RFC 7671 section 5.2.2", "the pinned CA certificate is not presented"),
    Code("chain-incomplete", ("error", "warning"), "RFC 8446 section 4.4.2", "the issuer's certificate is not sent"),
    # MTA-STS and TLSRPT
    Code("mta-sts-missing", _N, "RFC 8461 section 3.1", "no MTA-STS"),
    Code("mta-sts-record-malformed", _W, "RFC 8461 section 3.1", "an MTA-STS record that senders ignore"),
    Code("mta-sts-unreadable", _W, "RFC 8461 section 3.3", "the MTA-STS policy cannot be fetched"),
    Code("mta-sts-policy-malformed", _W, "RFC 8461 section 3.2", "an MTA-STS policy that senders ignore"),
    Code("mta-sts-host-not-listed", ("error", "warning"), "RFC 8461 section 4.1", "a host that it does not list"),
    Code("mta-sts-certificate", ("error", "warning"), "RFC 8461 section 4.2", "a certificate that MTA-STS refuses"),
    Code("mta-sts-max-age", _N, "RFC 8461 section 3.2", "a policy that is kept too short a time"),
    Code("mta-sts-not-enforced", _N, "RFC 8461 section 5", "MTA-STS in a mode that protects nothing"),
    Code("mta-sts-enforced", _G, "RFC 8461 section 5", "MTA-STS agrees with the hosts"),
    Code("tlsrpt-missing", _N, "RFC 8460 section 3", "no TLSRPT: nobody reports what fails"),
    Code("tlsrpt-malformed", _W, "RFC 8460 section 3", "a TLSRPT record that senders ignore"),
    Code("tlsrpt-present", _G, "RFC 8460 section 3", "senders report what fails"),
    Code("policy-lookup-failed", _W, "RFC 8461 section 3.1", "the look-up of MTA-STS or TLSRPT fails"),
    # what this machine cannot see
    Code("own-no-ipv6", _N, "", "this machine has no way to IPv6 addresses"),
    Code("own-no-route", _W, "", "this machine has no way to an address"),
    Code("own-port-25-blocked", _W, "", "this machine may not reach port 25, as it seems"),
    Code("own-lookup-failed", _W, "", "this machine's own look-ups fail"),
    Code("own-fetch-failed", _W, "", "this machine could not fetch the MTA-STS policy"),
    Code("own-no-roots", _W, "RFC 6698 section 2.1.1", "this machine knows no trusted CAs, which the records need"),
    Code("own-forbidden", _W, "", "an address that this check may not connect to"),
    Code("own-not-asked", _W, "", "the check ended before it came to an address"),
)

CODES: Mapping[str, Code] = {each.code: each for each in _TABLE}
"""Every finding that there is, by code."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note", "good")
"""The gravest first."""


def finding(code: str, subject: str, text: str, remedy: str = "", severity: Severity | None = None) -> Finding:
    """Return a finding of a kind that the table declares, with its gravest severity unless another is given."""
    kind = CODES[code]
    given = severity or kind.severities[0]
    if given not in kind.severities:
        raise ValueError(f"{code} is declared as {' or '.join(kind.severities)}, not as {given}")
    return Finding(code, given, subject, text, remedy, kind.rfc)
