"""What the service counts, in Prometheus' text format (version 0.0.4)."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

REFUSALS = ("rate", "full", "stopping", "target", "request")
"""Why a question is refused: asked too often, too many wait, it ends, no target, not a request that is answered."""

OUTCOMES = ("0", "1", "3", "4", "failed")

GAUGES = {
    "running": ("danelaw_serve_running", "Checks that run."),
    "waiting": ("danelaw_serve_waiting", "Checks that wait for their turn."),
    "kept": ("danelaw_serve_results", "Results that are kept."),
    "kept_bytes": ("danelaw_serve_result_bytes", "Bytes of the results that are kept."),
}


@dataclass(slots=True)
class Metrics:
    """Counters, from the start of the service. ``say`` hears what an administrator ought to know, a line each."""

    say: Callable[[str], None] = lambda _: None
    checks: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    defects: int = 0

    def checked(self, outcome: str, seconds: float) -> None:
        """Count a check that is over: its status, or ``failed``."""
        self.checks[outcome] += 1
        self.seconds += seconds

    def complain(self, text: str) -> None:
        """Count a defect of ours, and say it."""
        self.defects += 1
        self.say(text)

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return everything, and the gauges of `jobs.Jobs`, as a scrape reads it."""
        lines: list[str] = []

        def family(name: str, kind: str, help_text: str, samples: Mapping[str, float]) -> None:
            lines.extend((f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"))
            lines.extend(f"{name}{labels} {value:g}" for labels, value in samples.items())

        checks = {f'{{status="{each}"}}': self.checks[each] for each in OUTCOMES}
        family("danelaw_serve_checks_total", "counter", "Checks that ended, by exit status.", checks)
        family("danelaw_serve_check_seconds_total", "counter", "Seconds that they took.", {"": self.seconds})
        refused = {f'{{reason="{each}"}}': self.refusals[each] for each in REFUSALS}
        family("danelaw_serve_refused_total", "counter", "Questions that were refused.", refused)
        answers = {f'{{code="{code}"}}': count for code, count in sorted(self.answers.items())}
        family("danelaw_serve_responses_total", "counter", "Responses over HTTP, by status code.", answers)
        family("danelaw_serve_defects_total", "counter", "Failures that are danelaw's own.", {"": self.defects})
        for key, (name, help_text) in GAUGES.items():
            family(name, "gauge", help_text, {"": gauges[key]})
        return "\n".join(lines) + "\n"
