"""Cases of findings on certificates, on MTA-STS and TLSRPT, and on what this machine cannot see."""

from dataclasses import replace
from typing import Any

from chains import (
    issue,
    p256,
)
from danelaw import dane, pki
from danelaw.model import (
    Chain,
    EndpointReport,
    LookedUp,
    Report,
    Target,
)
from fakes.finding_cases import (
    Case,
    answered,
    behind_srv,
    failing,
    failing_at_one,
    holding,
    nothing,
)
from fakes.reports import (
    ADDRESSES,
    AT,
    DAY,
    DOMAIN,
    HOST,
    OTHER,
    STS_RECORD,
    TLSRPT_RECORD,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    mx,
    policy,
    record,
    report,
    shaken,
)
from fakes.small_internet import SmallInternet


def presenting(mine: Chain, *specs: str, **more: Any) -> Report:
    """Return a host that presents a chain and has these records of it."""
    return holding(*(record(mine, each) for each in specs), presented=mine, **more)


def leaf_alone(of: Chain) -> Chain:
    """Return a chain without the certificates above its leaf."""
    return pki.chain_from_der(of.certificates_der[:1])


def self_signed(name: str = HOST) -> Chain:
    """Return a certificate that names itself as its issuer."""
    return pki.chain_from_der(issue(name, key=p256()).chain_der)


CERTIFICATES = (
    Case(
        "certificate-expired",
        "error",
        "expired on 2026-05-29, 3 days ago: Postfix, Exim, mox and Exchange do not",
        lambda: presenting(chain(days=-3, age=40), "2 1 1"),
    ),
    Case(
        "certificate-expired",
        "error",
        "expired on .*: Exchange does not deliver here, Postfix, Exim and mox do$",
        lambda: presenting(chain(days=-3, age=40), "3 1 1"),
    ),
    Case(
        "certificate-expired",
        "error",
        "CA certificate CN=Late that it presents is out of date",
        lambda: presenting(below_a_late_ca(), "2 1 1"),
        lambda: presenting(below_a_late_ca(), "3 1 1"),
    ),
    Case(
        "certificate-expired",
        "warning",
        "expired on .*MTA-STS refuse it",
        lambda: holding(kind="none", presented=chain(days=-3, age=40)),
    ),
    Case(
        "certificate-not-yet-valid",
        "error",
        "not valid before 2026-06-03: ",
        lambda: presenting(chain(age=-2), "2 1 1"),
        lambda: presenting(chain(days=-3, age=40), "2 1 1"),
    ),
    Case(
        "certificate-not-yet-valid",
        "warning",
        "not valid before",
        lambda: holding(kind="none", presented=chain(age=-2)),
    ),
    Case(
        "certificate-expires-soon",
        "warning",
        "in 8 days, and it is valid for 90 days only: its renewal ought",
        lambda: presenting(chain(days=8.5, age=81.5), "3 1 1"),
        lambda: presenting(chain(days=9.5, age=80.5), "3 1 1"),
    ),
    Case(
        "name-mismatch",
        "error",
        "for www.example.net, and not for mail.example.org or example.org: Postfix, Exim",
        lambda: presenting(chain("www.example.net"), "2 1 1"),
        lambda: presenting(chain(HOST), "2 1 1"),
    ),
    Case(
        "name-mismatch",
        "error",
        "the one name that all senders take: Exim does not deliver here, Postfix, mox and Exchange do",
        lambda: without_next_hop(presenting(chain(DOMAIN), "2 1 1")),
    ),
    Case(
        "name-mismatch",
        "warning",
        "not for this host; records of usage 3 do not mind, but senders that go by MTA-STS",
        lambda: presenting(chain("www.example.net"), "3 1 1"),
        lambda: presenting(chain("*.example.org"), "3 1 1"),
    ),
    Case(
        "name-mismatch", "warning", "example.org is a name that DANE takes", lambda: presenting(chain(DOMAIN), "2 1 1")
    ),
    Case(
        "ta-not-presented",
        "error",
        "that 2 1 1 pins is not among those that it presents .one above",
        lambda: holding(record(chain(authority="Old"), "2 1 1")),
        lambda: holding(record(chain(authority="Old"), "2 1 1"), record(chain())),
    ),
    Case(
        "ta-not-presented",
        "warning",
        "or the CA now issues by another; without signed SRV records",
        lambda: behind_srv(record(chain(authority="Old"), "2 1 1")),
        lambda: behind_srv(record(chain(authority="Old"), "2 1 1"), signed=True),
    ),
    Case(
        "chain-incomplete",
        "error",
        "its issuer, CN=Root, which the records need",
        lambda: holding(record(chain(), "2 1 1"), presented=leaf_alone(chain())),
        lambda: holding(record(chain(), "2 1 1")),
    ),
    Case(
        "chain-incomplete",
        "warning",
        "CN=Root; records of usage 3 do not mind",
        lambda: presenting(leaf_alone(chain()), "3 1 1"),
        lambda: presenting(self_signed(), "3 1 1"),
    ),
)


def below_a_late_ca() -> Chain:
    """Return a valid leaf below a CA certificate that has expired."""
    authority = issue("Late", ca=True, at=AT - 100 * DAY, days=50)
    return pki.chain_from_der(issue(HOST, authority, days=300).chain_der)


def without_next_hop(whole: Report) -> Report:
    """Return a report in which Exim refuses, as it does where the leaf is named for the next-hop domain alone."""
    (place,) = whole.endpoints
    attempts = tuple(replace(each, outcomes={**each.outcomes, "exim": "deferred"}) for each in place.attempts)
    return replace(whole, endpoints=(replace(place, attempts=attempts, outcomes=attempts[0].outcomes),))


def sts(text: str | None = None, *places: EndpointReport, record: LookedUp = STS_RECORD, **more: Any) -> Report:
    """Return a domain with MTA-STS."""
    found = policy(text, **more)
    return report(*(places or (endpoint(), endpoint(OTHER))), policy=found, beside=(record,))


def policy_text(mode: str = "enforce", *hosts: str, max_age: int = 604800) -> str:
    """Return a policy file."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts or (HOST, OTHER))]
    return "\r\n".join([*lines, f"max_age: {max_age}", ""])


def texts(name: str, *values: str, **more: Any) -> LookedUp:
    """Return a TXT look-up."""
    return looked_up(f"{name}.{DOMAIN}", "TXT", texts=values, **more)


def asked(found: LookedUp) -> Report:
    """Return a domain with one host and this look-up beside it."""
    return report(endpoint(), beside=(found,))


POLICIES = (
    Case("mta-sts-missing", "note", "no MTA-STS policy", lambda: asked(texts("_mta-sts", "v=spf1 -all")), sts),
    Case(
        "mta-sts-record-malformed",
        "warning",
        "it has no id",
        lambda: asked(texts("_mta-sts", "v=STSv1;")),
        lambda: asked(texts("_mta-sts", "v=STSv1; id=1")),
    ),
    Case("mta-sts-unreadable", "warning", "status 404", lambda: sts(problem="status 404"), sts),
    Case("mta-sts-policy-malformed", "warning", "no mode", lambda: sts("version: STSv1\nmax_age: 1"), sts),
    Case(
        "mta-sts-host-not-listed",
        "error",
        "lists mail.example.org and not this host.*do not deliver to it",
        lambda: sts(policy_text("enforce", HOST)),
        lambda: sts(policy_text("enforce", "*.example.org")),
    ),
    Case(
        "mta-sts-host-not-listed",
        "warning",
        "would not deliver if it enforced",
        lambda: sts(policy_text("testing", HOST)),
        lambda: sts(policy_text("none", HOST)),
    ),
    Case(
        "mta-sts-certificate",
        "error",
        "expired on 2026-05-29: senders that go by the MTA-STS policy .mode: enforce. do not",
        lambda: sts(None, endpoint(presented=chain(days=-3, age=40))),
        lambda: sts(policy_text("none"), endpoint(presented=chain(days=-3, age=40))),
    ),
    Case("mta-sts-certificate", "error", "self-signed", lambda: sts(None, endpoint(presented=self_signed()))),
    Case(
        "mta-sts-certificate",
        "warning",
        "not for this host",
        lambda: sts(policy_text("testing"), endpoint(presented=chain("www.example.net"))),
        lambda: sts(policy_text("testing"), endpoint(presented=chain("*.example.org"))),
    ),
    Case(
        "mta-sts-max-age",
        "note",
        "for 3600 s; ",
        lambda: sts(policy_text(max_age=3600)),
        lambda: sts(policy_text(max_age=86400)),
    ),
    Case("mta-sts-not-enforced", "note", "mode: testing", lambda: sts(policy_text("testing")), sts),
    Case("mta-sts-not-enforced", "note", "mode: none", lambda: sts(policy_text("none"))),
    Case("mta-sts-enforced", "good", "mode: enforce, and lists", sts, lambda: sts(policy_text("enforce", HOST))),
    Case("tlsrpt-missing", "note", "no TLSRPT", lambda: asked(texts("_smtp._tls")), lambda: asked(TLSRPT_RECORD)),
    Case(
        "tlsrpt-malformed",
        "warning",
        "it has no rua",
        lambda: asked(texts("_smtp._tls", "v=TLSRPTv1;")),
        lambda: asked(TLSRPT_RECORD),
    ),
    Case(
        "tlsrpt-present",
        "good",
        "mailto:tls@example.org",
        lambda: asked(TLSRPT_RECORD),
        lambda: asked(texts("_smtp._tls")),
    ),
    Case(
        "policy-lookup-failed",
        "warning",
        "MTA-STS is bogus: no",
        lambda: asked(texts("_mta-sts", security="bogus", why="no RRSIG")),
        lambda: asked(texts("_mta-sts", security="bogus", ours=True)),
    ),
    Case(
        "policy-lookup-failed",
        "warning",
        "TLSRPT fails .SERVFAIL.",
        lambda: asked(texts("_smtp._tls", security="indeterminate", rcode="SERVFAIL")),
        lambda: asked(texts("_smtp._tls", security="insecure")),
    ),
)

OWN = (
    Case("own-no-ipv6", "note", "no way to 2001:db8::25", lambda: no_way(V6), lambda: no_way(V4)),
    Case(
        "own-no-ipv6",
        "note",
        "2001:db8::53",
        lambda: answered(left_out=("2001:db8::53",)),
        lambda: answered(left_out=()),
    ),
    Case("own-no-route", "warning", "no way to 192.0.2.25", lambda: no_way(V4), lambda: no_way(V6)),
    Case(
        "own-port-25-blocked",
        "warning",
        "at any address",
        lambda: failing("timeout"),
        lambda: failing_at_one("timeout"),
    ),
    Case(
        "own-lookup-failed",
        "warning",
        "cannot look up example.org MX: the network is down",
        lambda: nothing("error", found=mx(security="indeterminate", ours=True, why="the network is down")),
        lambda: nothing("error", found=mx(security="indeterminate")),
    ),
    Case(
        "own-fetch-failed",
        "warning",
        "policy: no network",
        lambda: sts(problem="no network", ours=True),
        lambda: sts(problem="status 404"),
    ),
    Case(
        "own-no-roots",
        "warning",
        "^the TLSA records of mail.example.org:443 count where a trusted CA",
        lambda: web("1 1 1"),
        lambda: web("3 1 1"),
    ),
    Case("own-forbidden", "warning", "192.0.2.25", lambda: failing("forbidden"), lambda: failing("refused")),
    Case("own-not-asked", "warning", "192.0.2.25", lambda: failing("not-asked"), lambda: failing("timeout")),
)


def web(spec: str) -> Report:
    """Return a check of a web server with one TLSA record, by a machine that knows no trusted CA."""
    issued = issue(HOST)
    pinned = dane.tlsa_record(dane.parse_spec(spec), pki.chain_from_der(issued.chain_der))
    internet = SmallInternet().host(HOST, V4).tlsa(f"_443._tcp.{HOST}", pinned).serve(V4, issued, port=443)
    return internet.check(Target(HOST, 443, "https"))


def no_way(address: str) -> Report:
    """Return a host one of whose addresses this machine has no route to."""
    return holding(
        record(chain()),
        handshakes=[shaken(each, *((None, "no-route") if each == address else (chain(),))) for each in ADDRESSES],
    )
