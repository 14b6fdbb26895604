"""Cases of findings on records, held against what is presented, and on connections."""

from typing import Any

from danelaw.model import (
    Discovery,
    Report,
    Target,
    TlsaRecord,
)
from fakes.finding_cases import (
    CLIENT,
    EMPTY,
    OWNER,
    SHORT,
    UNKNOWN,
    Case,
    automatic,
    behind_srv,
    failing,
    failing_at_one,
    holding,
    two_kinds,
    unprotected,
)
from fakes.reports import (
    ADDRESSES,
    HOST,
    OTHER,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    record,
    report,
    shaken,
    stale,
    tlsa_state,
)

TWO = [shaken(V4, chain()), shaken(V6, chain(label="old"))]
BOTH_KINDS = [shaken(V4, one) for one in (chain(), chain(rsa=True))]

RECORDS = (
    Case(
        "mismatch",
        "error",
        "only TLSA record does not match .*pins another key.*: Postfix, Exim, mox and Exchange do not deliver here",
        lambda: holding(stale()),
        lambda: holding(record(chain())),
    ),
    Case(
        "mismatch-at-address",
        "error",
        "does not match.*192.0.2.25 presents what the records pin",
        lambda: holding(record(chain()), handshakes=[shaken(V4, chain()), shaken(V6, chain(label="old"))]),
        lambda: holding(
            record(chain()),
            record(chain(label="old")),
            handshakes=[shaken(V4, chain()), shaken(V6, chain(label="old"))],
        ),
    ),
    Case(
        "mismatch-of-algorithm",
        "error",
        "does not match the RSA certificate",
        lambda: two_kinds(record(chain())),
        lambda: two_kinds(record(chain()), record(chain(rsa=True))),
    ),
    Case(
        "stale-stronger-record",
        "error",
        "^the 3 1 2 record .*aside the 3 1 1 record.*Postfix and Exim do not deliver here, mox and Exchange do$",
        lambda: holding(record(chain()), stale("3 1 2")),
        lambda: holding(stale(), record(chain(), "3 1 2")),
    ),
    Case(
        "mismatch",
        "warning",
        "pins another key.*; without signed SRV records clients do not ask for them, and go on all the same$",
        lambda: behind_srv(stale()),
        lambda: behind_srv(stale(), signed=True),
    ),
    Case(
        "mismatch-at-address",
        "warning",
        "go on all the same; 192.0.2.25 presents what the records pin",
        lambda: behind_srv(record(chain()), handshakes=TWO),
        lambda: behind_srv(record(chain()), handshakes=TWO, signed=True),
    ),
    Case(
        "mismatch-of-algorithm",
        "warning",
        "does not match the RSA certificate.*go on all the same$",
        lambda: behind_srv(record(chain()), handshakes=BOTH_KINDS),
        lambda: behind_srv(record(chain()), handshakes=BOTH_KINDS, signed=True),
    ),
    Case(
        "stale-stronger-record",
        "warning",
        "only the stronger counts; without signed SRV records",
        lambda: behind_srv(record(chain()), stale("3 1 2")),
        lambda: behind_srv(record(chain()), stale("3 1 2"), signed=True),
    ),
    Case(
        "stale-record",
        "warning",
        "the 3 0 1 record matches nothing.*deliver by 3 1 1",
        lambda: holding(record(chain()), stale("3 0 1")),
        lambda: holding(record(chain()), stale()),
    ),
    Case(
        "next-key-published",
        "good",
        "1 more of 3 1 1",
        lambda: holding(record(chain()), stale()),
        lambda: holding(stale()),
    ),
    Case(
        "all-unusable",
        "error",
        "none of its 2 .*Exim does not deliver here, Postfix, mox and Exchange do",
        lambda: holding(UNKNOWN, SHORT),
        lambda: holding(UNKNOWN, SHORT, record(chain())),
    ),
    Case(
        "all-unusable",
        "warning",
        "only TLSA record cannot be used: clients check",
        lambda: report(
            endpoint(port=993, protocol="imaps", preference=None, senders=CLIENT, records=[UNKNOWN]),
            target=Target(HOST, 993, "imaps"),
            discovery=Discovery("given"),
            senders=CLIENT,
        ),
    ),
    Case(
        "unusable-parameters", "warning", "^3 1 7 ", lambda: holding(UNKNOWN, record(chain())), lambda: holding(SHORT)
    ),
    Case(
        "usage-at-port-25",
        "warning",
        "^1 1 1 .*not defined at port 25",
        lambda: holding(record(chain(), "1 1 1"), record(chain())),
        lambda: report(
            endpoint(port=993, protocol="imaps", preference=None, senders=CLIENT, records=[record(chain(), "1 1 1")]),
            target=Target(HOST, 993, "imaps"),
            discovery=Discovery("given"),
            senders=CLIENT,
        ),
    ),
    Case(
        "wrong-digest-length",
        "warning",
        "20 octets, SHA-256 has 32",
        lambda: holding(SHORT, record(chain())),
        lambda: holding(UNKNOWN),
    ),
    Case(
        "full-data-broken",
        "warning",
        "no public key",
        lambda: holding(TlsaRecord(3, 1, 0, b"no key"), record(chain())),
        lambda: holding(record(chain(), "3 1 0"), record(chain(), "3 0 0")),
    ),
    Case(
        "empty-digest", "warning", "e3b0c44298fc1c14…", lambda: holding(EMPTY, record(chain())), lambda: holding(SHORT)
    ),
    Case(
        "malformed-records",
        "warning",
        "^1 record at",
        lambda: report(
            endpoint(
                tlsa=tlsa_state(
                    HOST,
                    [record(chain())],
                    found=looked_up(OWNER.removesuffix("."), "TLSA", tlsa=(record(chain()),), malformed=1),
                )
            )
        ),
    ),
    Case(
        "selector-0-automatic",
        "warning",
        "^3 0 1 .*valid for 90 days only.*about 2026-07-01.*senders do not deliver from then on",
        lambda: automatic("3 0 1"),
        lambda: automatic("3 1 1"),
    ),
    Case(
        "selector-0-automatic",
        "warning",
        r"automatic CA .Let's Encrypt.*any day now.*the other records still match then",
        lambda: automatic("3 0 1", "3 1 1", days=40, age=360, authority="Let's Encrypt"),
        lambda: automatic("3 0 1", days=40, age=360, authority="By hand"),
    ),
    Case(
        "too-many-records",
        "warning",
        "^13 TLSA records",
        lambda: holding(*(stale(label=f"{n}") for n in range(12)), record(chain())),
        lambda: holding(*(stale(label=f"{n}") for n in range(11)), record(chain())),
    ),
)


def old_version(version: str) -> Report:
    """Return a host whose TLS is of this version at most."""
    return holding(record(chain()), handshakes=[shaken(each, chain(), version=version) for each in ADDRESSES])


def of_failure(code: str, failure: Any, says: str, *, before_tls: bool, **more: Any) -> tuple[Case, Case]:
    """Return the cases of one failure: an error where senders do not come through, else a warning."""
    rest = failing_at_one if before_tls else unprotected
    return (
        Case(code, "error", says, lambda: failing(failure, **more), lambda: failing("not-offered")),
        Case(code, "warning", says, lambda: rest(failure)),
    )


CONNECTIONS = (
    *of_failure("connection-refused", "refused", "nothing listens", before_tls=True),
    *of_failure("unreachable", "unreachable", "cannot be reached", before_tls=True),
    *of_failure("silent-server", "silent", "does not come in time", before_tls=True),
    *of_failure("hung-up", "hung-up", "dialogue before TLS", before_tls=True),
    *of_failure("turned-away", "turned-away", "before it says anything", before_tls=True),
    *of_failure("greylisting-banner", "greylisted", "refuses for now", before_tls=True),
    *of_failure("rejecting-banner", "rejected", "refuses .5xx.", before_tls=True),
    *of_failure("not-spoken", "not-spoken", "does not speak the protocol", before_tls=True),
    *of_failure("flood", "flood", "without end", before_tls=True),
    Case(
        "connection-timeout",
        "error",
        "in time$",
        lambda: report(endpoint(handshakes=[shaken(V4, None, "timeout")]), endpoint(OTHER)),
        lambda: failing("timeout"),
    ),
    Case("connection-timeout", "warning", "in time$", lambda: failing_at_one("timeout")),
    Case(
        "no-starttls",
        "error",
        "not offer STARTTLS: Postfix, Exim, mox and Exchange do not deliver here",
        lambda: failing("no-starttls"),
        lambda: failing_at_one("no-starttls"),
    ),
    Case(
        "no-starttls",
        "warning",
        "not offer STARTTLS$",
        lambda: holding(kind="none", handshakes=[shaken(V4, None, "no-starttls"), shaken(V6, None, "refused")]),
    ),
    Case(
        "no-starttls-at-address",
        "error",
        "not offer STARTTLS",
        lambda: failing_at_one("no-starttls"),
        lambda: failing("no-starttls"),
    ),
    Case("no-starttls-at-address", "warning", "not offer STARTTLS$", lambda: unprotected("no-starttls")),
    *of_failure("starttls-refused", "starttls-refused", "offers STARTTLS and then", before_tls=False),
    *of_failure("plaintext-injected", "injected", "man in the middle", before_tls=False),
    *of_failure("not-tls", "not-tls", "is no TLS", before_tls=False),
    *of_failure("tls-too-old", "old-tls", "no TLS version of today", before_tls=False),
    *of_failure("no-certificate", "no-certificate", "presents no certificate", before_tls=False),
    *of_failure("bad-certificate", "bad-certificate", "is none", before_tls=False),
    *of_failure("tls-alert", "tls-refused", "alert.*handshake failure", before_tls=False, detail="handshake failure")[
        :1
    ],
    *of_failure("tls-alert", "tls-refused", "alert", before_tls=False)[1:],
    *of_failure("tls-failed", "tls-failed", "handshake fails", before_tls=False),
    Case(
        "old-tls-version",
        "warning",
        "^TLSv1.1 is the newest",
        lambda: old_version("TLSv1.1"),
        lambda: old_version("TLSv1.2"),
    ),
)
