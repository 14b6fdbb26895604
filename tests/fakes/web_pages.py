"""Reports that a page or a picture must show well: good ones, broken ones, huge ones, and one of hostile text."""

from dataclasses import replace

from danelaw.model import Discovery, Finding, MxRecord, Report, Target, TlsaRecord
from fakes import reports

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\u202e\x00\x1b[31m{{7*7}}]]>"

FINDINGS = (
    Finding(
        "tlsa-mismatch",
        "error",
        "mail.example.org:25 at 192.0.2.25",
        "The certificate that is presented matches none of the 2 TLSA records.",
        "Publish a record of the new key, wait for its TTL, and then renew.",
        "RFC 7672 section 2.2.2",
    ),
    Finding("ttl-short", "warning", "_25._tcp.mail.example.org.", "The TTL of 60 s is short.", "Use 1800 to 3600."),
    Finding("next-key", "good", "mail.example.org:25", "The record of the next key is published already."),
    Finding("sts", "note", "example.org", "MTA-STS enforces, and lists both hosts.", "", "RFC 8461 section 5"),
)


def good() -> Report:
    """Two hosts, both as they ought to be, and nothing but notes."""
    beside = (reports.STS_RECORD, reports.TLSRPT_RECORD)
    return replace(reports.report(policy=reports.policy(), beside=beside), findings=FINDINGS[2:])


def mismatching() -> Report:
    """RSA beside ECDSA at two addresses: the RSA chain matches nothing, and one address has no STARTTLS for it."""
    ecdsa, rsa = reports.chain(), reports.chain(reports.HOST, "rsa", rsa=True)
    addresses = ("192.0.2.25", "2001:db8:c17:1234:a1b2:c3d4:e5f6:7890")
    records = [reports.record(ecdsa), reports.record(ecdsa, "2 1 1"), reports.stale()]
    tlsa = reports.tlsa_state(reports.HOST, records[::2])
    said = reports.servers(tlsa.owner, records, silent=("198.51.100.54",), left_out=("2001:db8::53",))
    tlsa = replace(tlsa, authorities=said)
    shaken = [
        reports.shaken(address, chain, algorithm=chain.algorithm if chain.algorithm != "other" else None)
        for address in addresses
        for chain in (ecdsa, rsa)
    ]
    shaken[3] = reports.shaken(addresses[1], None, "no-starttls", algorithm="rsa")
    bad = reports.endpoint(addresses=addresses, tlsa=tlsa, handshakes=shaken)
    return replace(reports.report(bad, reports.endpoint(reports.OTHER, preference=20)), findings=FINDINGS)


def bogus() -> Report:
    """The TLSA look-up fails, below an insecure MX."""
    tlsa = replace(reports.tlsa_state(reports.HOST, kind="error"), why="the DS of example.org matches none of its keys")
    discovery = Discovery("listed", reports.mx(reports.HOST, security="insecure"))
    return reports.report(reports.endpoint(kind="error", tlsa=tlsa), discovery=discovery)


def without_dane() -> Report:
    """No TLSA records at one host, and insecure addresses at the other."""
    return reports.report(
        reports.endpoint(kind="none", tlsa=reports.tlsa_state(reports.HOST)),
        reports.endpoint(reports.OTHER, security="insecure", kind="not-asked"),
    )


def silent() -> Report:
    """Nothing answers."""
    return reports.report(
        reports.endpoint(handshakes=[reports.shaken(each, None, "timeout") for each in reports.ADDRESSES])
    )


def null_mx() -> Report:
    """The domain takes no mail."""
    found = reports.mx(security="secure")
    discovery = Discovery("null", replace(found, mx=(MxRecord(0, ""),)))
    return replace(reports.report(discovery=discovery), status=3, outcomes={}, delivers={})


def huge() -> Report:
    """Eight hosts with long names, each with eight addresses, four chains and six records."""

    def host(number: int) -> str:
        return ("x" * 40 + ".") * 4 + f"{number}.example.org"

    rsa = reports.chain(reports.HOST, "rsa", rsa=True)
    endpoints = []
    for number in range(1, 9):
        addresses = tuple(f"2001:db8:aaaa:bbbb:cccc:dddd:eeee:{n:04x}" if n % 2 else f"192.0.2.{n}" for n in range(8))
        chains = [reports.chain(f"mx{number}.example.org", f"{number}.{n % 3}") for n in range(8)]
        records = [
            reports.record(chains[0]),
            reports.record(chains[1]),
            reports.record(chains[2], "2 0 1"),
            reports.record(chains[0], "3 0 2"),
            reports.stale(),
            TlsaRecord(3, 1, 1, b""),
        ]
        shaken = [reports.shaken(a, rsa if n == 6 else chains[n]) for n, a in enumerate(addresses)]
        tlsa = reports.tlsa_state(host(number), records)
        endpoints.append(
            reports.endpoint(
                host(number), preference=10 * number, addresses=addresses, presented=rsa, tlsa=tlsa, handshakes=shaken
            )
        )
    target = Target("y" * 60 + "." + "z" * 60 + "." + "x" * 50 + ".example.org")
    return replace(reports.report(*endpoints, target=target), findings=FINDINGS * 8)


def hostile() -> Report:
    """Markup, control characters and a turn of direction wherever a stranger has a say."""
    found = reports.looked_up(
        HOSTILE,
        "TXT",
        "bogus",
        HOSTILE,
        addresses=(HOSTILE,),
        mx=(MxRecord(1, HOSTILE),),
        texts=(HOSTILE, "x" * 100_000),
        canonical=HOSTILE * 2,
        why=HOSTILE,
        ours=True,
        warnings=(HOSTILE,),
    )
    shaken = reports.shaken(HOSTILE, reports.chain(), detail=HOSTILE, version=HOSTILE, banner=HOSTILE)
    silent = reports.shaken(HOSTILE, None, "flood", detail=HOSTILE, banner=HOSTILE)
    records = [reports.record(reports.chain()), TlsaRecord(9, 9, 9, b"\xff" * 65_000)]
    tlsa = reports.tlsa_state(HOSTILE, records, found=found, reference_names=(HOSTILE,))
    said = reports.servers(HOSTILE, records, silent=(HOSTILE,), left_out=(HOSTILE,), problem=HOSTILE)
    tlsa = replace(tlsa, why=HOSTILE, authorities=said, asked=(HOSTILE,))
    shook = [replace(shaken, through=HOSTILE), silent]
    endpoint = reports.endpoint(
        HOSTILE, addresses=(HOSTILE,), presented=reports.chain(), tlsa=tlsa, handshakes=shook, lookups=(found,)
    )
    return replace(
        reports.report(
            replace(endpoint, why=HOSTILE, first_alias="secure"),
            target=Target(HOSTILE),
            discovery=Discovery("listed", found, left_out=(HOSTILE,)),
            policy=reports.policy(HOSTILE + "\n" + "long " * 5000, problem=""),
            beside=(found,),
        ),
        findings=(Finding(HOSTILE, "error", HOSTILE, HOSTILE, HOSTILE, HOSTILE), *FINDINGS),
    )


def scripts() -> Report:
    """Names in scripts whose characters are as wide and as tall as they like."""
    names = (
        "長" * 60,
        "\ufdfd" * 50,
        "🙂" * 50,
        "ก็็็็็็" * 20,
        "Z\u0301\u0302\u0303\u0304" * 20,
        "ﷺ" + "W" * 70,
        "مرحبا " * 20,
    )
    shaken = [reports.shaken(name, reports.chain(), version=name[:12]) for name in names]
    return reports.report(reports.endpoint("長" * 30, presented=reports.chain(), addresses=names, handshakes=shaken))


REPORTS = {
    "good": good,
    "mismatching": mismatching,
    "bogus": bogus,
    "without-dane": without_dane,
    "silent": silent,
    "null-mx": null_mx,
    "huge": huge,
    "hostile": hostile,
    "scripts": scripts,
}
"""Each by a name, to be made when asked for."""
