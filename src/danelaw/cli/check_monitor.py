"""Reports for monitors: one line with performance data (Monitoring Plugins' guidelines), and metrics in a text file."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from danelaw.deploy import files
from danelaw.errors import InputError
from danelaw.model import Report
from danelaw.web.words import headline, shown

STATES = {0: "OK", 1: "WARNING", 2: "CRITICAL", 3: "UNKNOWN"}
WORST_FIRST = (2, 3, 1, 0)


def monitor_status(report: Report, *, require_dane: bool) -> int:
    """Return the plug-in's status: 0 OK, 1 warning, 2 critical, 3 unknown.

    Not protected by DANE is a warning, or critical where ``require_dane``; so is any finding that is a warning.
    """
    if report.status == 0:
        return 1 if any(each.severity in {"warning", "error"} for each in report.findings) else 0
    return {1: 2, 3: 2 if require_dane else 1, 4: 3}[report.status]


def monitor_line(reports: Sequence[Report], *, require_dane: bool, seconds: float) -> tuple[str, int]:
    """Return one line, ``DANE STATE: words | performance data``, and the status of them all."""
    statuses = [monitor_status(report, require_dane=require_dane) for report in reports]
    status = min(statuses, key=WORST_FIRST.index, default=3)
    deciding = [each for each, own in zip(reports, statuses, strict=True) if own == status]
    words = "; ".join(_words(report) for report in deciding) if deciding else "nothing was checked"
    clean = words.replace("|", "/").replace("\n", " ")  # the bar is where performance data begins
    counted = {
        "time": f"{seconds:.2f}s;;;0",
        "endpoints": f"{sum(len(report.endpoints) for report in reports)};;;0",
        "errors": f"{_count(reports, 'error')};;;0",
        "warnings": f"{_count(reports, 'warning')};;;0",
    }
    at = max((report.at for report in reports), default=None)
    for name, instants in (("certificate_days", _expiries(reports)), ("signature_days", _signatures(reports))):
        if instants and at is not None:
            counted[name] = f"{(min(instants) - at).total_seconds() / 86400:.1f}"
    performance = " ".join(f"{name}={value}" for name, value in counted.items())
    return f"DANE {STATES[status]}: {clean[:800]} | {performance}", status


def metrics(reports: Sequence[Report], at: datetime) -> str:
    """Return the reports in Prometheus' text format."""
    lines: list[str] = []

    def family(name: str, what: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> None:
        lines.extend((f"# HELP {name} {what}", f"# TYPE {name} gauge"))
        lines.extend(f"{name}{_labels(labels)} {value:.17g}" for labels, value in samples)

    family("danelaw_check_timestamp_seconds", "When the checks were made.", [({}, at.timestamp())])
    family(
        "danelaw_check_status",
        "0 good for every sender, 1 some sender does not deliver, 3 not protected by DANE, 4 cannot tell.",
        [({"target": str(report.target)}, report.status) for report in reports],
    )
    family(
        "danelaw_check_outcome",
        "1 at what a sender does at an endpoint.",
        [
            ({"target": str(report.target), "endpoint": each.name, "sender": sender, "outcome": outcome}, 1)
            for report in reports
            for each in report.endpoints
            for sender, outcome in each.outcomes.items()
        ],
    )
    family(
        "danelaw_check_findings",
        "How many findings of a severity.",
        [
            ({"target": str(report.target), "severity": severity}, sum(f.severity == severity for f in report.findings))
            for report in reports
            for severity in ("error", "warning", "note", "good")
        ],
    )
    family("danelaw_check_certificate_expiry_seconds", "When a certificate presented expires.", _certificates(reports))
    family(
        "danelaw_check_signature_expiry_seconds",
        "When the first signature over the TLSA records expires.",
        [
            ({"target": str(report.target), "endpoint": each.name}, each.tlsa.found.expires.timestamp())
            for report in reports
            for each in report.endpoints
            if each.tlsa.found is not None and each.tlsa.found.expires is not None
        ],
    )
    return "\n".join(lines) + "\n"


def write_whole(path: str, text: str) -> None:
    """Replace a file at once, so that no reader meets half of it. Raises `InputError`.

    A link is followed, and what is no file (a pipe, /dev/stdout) is written into: only a file is ever replaced.
    """
    try:
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            with target.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        try:
            # No secret, and who collects it runs as somebody else.
            files.put_file(target, text.encode(), files.Ownership(0o644, os.geteuid(), os.getegid()))
        except OSError:
            files.clear_leftover(target)  # a full disk's half
            raise
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL in the name
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise InputError(f"{path}: cannot be written ({why}); mend that, or give another file") from None


def _words(report: Report) -> str:
    first = next((each for each in report.findings if each.severity in {"error", "warning"}), None)
    return headline(report) + (f" [{first.code}] {shown(first.subject, 120)}" if first else "")


def _count(reports: Sequence[Report], severity: str) -> int:
    return sum(each.severity == severity for report in reports for each in report.findings)


def _expiries(reports: Sequence[Report]) -> list[datetime]:
    return [
        attempt.shaken.chain.not_after
        for report in reports
        for each in report.endpoints
        for attempt in each.attempts
        if attempt.shaken.chain is not None
    ]


def _signatures(reports: Sequence[Report]) -> list[datetime]:
    return [
        each.tlsa.found.expires
        for report in reports
        for each in report.endpoints
        if each.tlsa.found is not None and each.tlsa.found.expires is not None
    ]


def _certificates(reports: Sequence[Report]) -> Iterable[tuple[Mapping[str, str], float]]:
    for report in reports:
        for each in report.endpoints:
            for attempt in each.attempts:
                if attempt.shaken.chain is not None:
                    labels = {
                        "target": str(report.target),
                        "endpoint": each.name,
                        "address": attempt.address,
                        "algorithm": attempt.shaken.chain.algorithm,
                    }
                    yield labels, attempt.shaken.chain.not_after.timestamp()


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    written = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + written + "}"


def _escaped(value: str) -> str:
    return shown(value, 300).replace("\\", "\\\\").replace('"', '\\"')
