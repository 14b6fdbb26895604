"""Findings on connections that brought no chain: what the server did instead, and at which addresses."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from danelaw.dane.findings.codes import finding
from danelaw.dane.findings.seen import (
    BEFORE_TLS,
    OURS,
    and_so,
    at_addresses,
    kind_name,
    listed,
    port_25_is_blocked,
    shown,
    with_chain,
)
from danelaw.model import Attempt, EndpointReport, FailureKind, Finding, Report, Severity


class _Said(NamedTuple):
    """How a failure is told: the code, what happened, what to do."""

    code: str
    text: str
    remedy: str


_STARTTLS = (
    "Set certificate and key and switch STARTTLS on for every client (Postfix: `smtpd_tls_chain_files`, "
    "`smtpd_tls_security_level = may`; Dovecot: `ssl = yes`), and let no firewall rewrite the dialogue."
)
_LISTENING = "Start the service there, open the firewall for it, or take the address out of DNS."
_BUSY = "Raise its limit of connections for one client, or look for a filter before it."

_SAID: dict[FailureKind, _Said] = {
    "refused": _Said("connection-refused", "nothing listens there: the connection is refused", _LISTENING),
    "unreachable": _Said("unreachable", "the network says that the address cannot be reached", _LISTENING),
    "timeout": _Said("connection-timeout", "no connection comes about in time", _LISTENING),
    "silent": _Said(
        "silent-server",
        "it takes the connection, and then what a client waits for does not come in time",
        "See why the server does not speak: DNS look-ups of its own that hang, an overload, a filter that holds "
        "strangers back for too long.",
    ),
    "hung-up": _Said("hung-up", "it closes the connection in the dialogue before TLS", _BUSY),
    "turned-away": _Said("turned-away", "it closes the connection before it says anything", _BUSY),
    "greylisted": _Said(
        "greylisting-banner",
        "it refuses for now (4xx) before STARTTLS",
        "Greet every client and offer it STARTTLS; refuse later, at RCPT. A sender that must have TLS cannot earn its "
        "place on a list by a first try in plain text.",
    ),
    "rejected": _Said(
        "rejecting-banner",
        "it refuses (5xx) before STARTTLS",
        "Greet every client and offer it STARTTLS; refuse later, at RCPT. If only this machine is refused (it may "
        "stand on a block list), check from elsewhere.",
    ),
    "not-spoken": _Said(
        "not-spoken", "what answers does not speak the protocol expected", "See which program listens at that port."
    ),
    "flood": _Said(
        "flood",
        "it sends lines without end before TLS",
        "See which program listens at that port; senders give up on it.",
    ),
    "no-starttls": _Said("no-starttls", "it does not offer STARTTLS", _STARTTLS),
    "starttls-refused": _Said(
        "starttls-refused",
        "it offers STARTTLS and then refuses it",
        "See its log: the certificate or key cannot be read, or they do not belong together (`postfix check`, "
        "`doveconf -n`).",
    ),
    "injected": _Said(
        "plaintext-injected",
        "plain text follows its reply to STARTTLS, which a man in the middle could have put there",
        "Update the server, or what stands before it: nothing may be sent or kept between the reply and TLS.",
    ),
    "not-tls": _Said(
        "not-tls",
        "what answers where TLS ought to begin is no TLS",
        "Switch TLS on at that port, or mend the proxy before it.",
    ),
    "old-tls": _Said(
        "tls-too-old",
        "it speaks no TLS version of today",
        "Allow TLS 1.2 and 1.3 (Postfix: `smtpd_tls_protocols = >=TLSv1.2`; Dovecot: `ssl_min_protocol = TLSv1.2`).",
    ),
    "no-certificate": _Said(
        "no-certificate", "it presents no certificate", "Set its certificate; anonymous TLS cannot be authenticated."
    ),
    "bad-certificate": _Said(
        "bad-certificate",
        "what it presents as its certificate is none",
        "Put a certificate into the file that the service reads; `danelaw tlsa FILE` shows whether it can be read.",
    ),
    "tls-refused": _Said(
        "tls-alert",
        "it refuses the handshake with an alert",
        "See its log; a name that it does not know (SNI) must not make it refuse, and it must allow ciphers of today.",
    ),
    "tls-failed": _Said("tls-failed", "the TLS handshake fails", "See its log for the same moment."),
}

_WITH_BANNER: frozenset[FailureKind] = frozenset({"greylisted", "rejected", "not-spoken", "flood"})
_WITHOUT_DETAIL: frozenset[FailureKind] = frozenset({"refused", "timeout", "no-starttls"})


def failures(report: Report) -> Iterator[Finding]:
    """Say of each endpoint which handshakes brought no chain, one finding for all addresses that fail alike."""
    blocked = port_25_is_blocked(report)
    for endpoint in report.endpoints:
        by_kind: dict[FailureKind, list[Attempt]] = {}
        for attempt in endpoint.attempts:
            failure = attempt.shaken.failure
            if failure is not None and attempt.shaken.chain is None and failure in _SAID:
                by_kind.setdefault(failure, []).append(attempt)
        for failure, attempts in by_kind.items():
            if blocked and endpoint.port == 25 and failure in {"timeout", "unreachable"}:
                continue  # `own-port-25-blocked` says it once
            yield _failure(endpoint, failure, attempts)


def _failure(endpoint: EndpointReport, failure: FailureKind, attempts: list[Attempt]) -> Finding:
    said = _SAID[failure]
    code = said.code
    if failure == "no-starttls" and _offered_elsewhere(endpoint, attempts):
        code = "no-starttls-at-address"
    text = f"{said.text}{_kinds(endpoint, attempts)}{_words(failure, attempts[0])}"
    return finding(
        code,
        at_addresses(endpoint, attempts),
        and_so(text, attempts),
        said.remedy,
        _severity(endpoint, failure, attempts),
    )


def _severity(endpoint: EndpointReport, failure: FailureKind, attempts: Sequence[Attempt]) -> Severity:
    """An error where some sender does not deliver: by DANE's rules, or since no address of the host answers at all."""
    if any(outcome == "deferred" for each in attempts for outcome in each.outcomes.values()):
        return "error"
    if failure in BEFORE_TLS:
        tried = [each.shaken.failure for each in endpoint.attempts if each.shaken.failure not in OURS]
        return "error" if all(each in BEFORE_TLS for each in tried) else "warning"
    return "warning"


def _offered_elsewhere(endpoint: EndpointReport, attempts: list[Attempt]) -> bool:
    bare = {each.address for each in attempts}
    return any(each.address not in bare and each.shaken.failure not in BEFORE_TLS for each in endpoint.attempts)


def _kinds(endpoint: EndpointReport, attempts: list[Attempt]) -> str:
    """Name the kind of certificate where only the handshakes that asked for it fail."""
    here = {each.address for each in attempts}
    good = {attempt.address for attempt, _ in with_chain(endpoint)}
    kinds = listed(kind_name(each) for each in attempts if kind_name(each))
    return f" for the {kinds} certificate" if kinds and here <= good else ""


def _words(failure: FailureKind, attempt: Attempt) -> str:
    """Return what the server said, or the failure's detail."""
    if failure in _WITH_BANNER and attempt.shaken.banner:
        return f' ("{shown(attempt.shaken.banner, 120)}")'
    if failure not in _WITHOUT_DETAIL and attempt.shaken.detail:
        return f" ({shown(attempt.shaken.detail, 200)})"
    return ""


def old_versions(report: Report) -> Iterator[Finding]:
    """Say where TLS 1.1 or older is the newest that a server offers (RFC 9325 section 3.1.1)."""
    for endpoint in report.endpoints:
        old = [
            each for each, _ in with_chain(endpoint) if each.shaken.version in {"SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"}
        ]
        if old:
            yield finding(
                "old-tls-version",
                at_addresses(endpoint, old),
                f"{listed(each.shaken.version for each in old)} is the newest TLS version that it offers: many senders "
                "refuse it",
                _SAID["old-tls"].remedy,
            )
