"""A report for a person at a terminal: the verdict, the findings, and a tree of what was looked at.

Whatever strangers said (names, banners, subjects) passes through `web.words.shown`, so that no control character of
theirs reaches the terminal.
"""

from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from danelaw import pki
from danelaw.check.many import NotJudged, Result
from danelaw.model import Attempt, EndpointReport, Finding, Outcome, Report, Sender, TlsaRecord
from danelaw.web.scene import tlsa_place
from danelaw.web.words import (
    ALGORITHMS,
    FAILURES,
    OUTCOME_STATES,
    SECURITY_STATES,
    SENDER_NAMES,
    SEVERITY_STATES,
    State,
    headline,
    outcome_words,
    outcomes_state,
    report_state,
    shown,
)

STYLES: dict[State, str] = {"good": "green", "weak": "yellow", "bad": "bold red", "unknown": "magenta", "plain": "dim"}

SIGNS: dict[State, str] = {"good": "✓", "weak": "!", "bad": "✕", "unknown": "?", "plain": "·"}
ASCII_SIGNS: dict[State, str] = {"good": "+", "weak": "!", "bad": "x", "unknown": "?", "plain": "-"}

QUIET_CODES = frozenset({"note", "good"})
"""Severities that are told on ``-v``, or where there is nothing else to tell."""

NO_LIMIT = 2000
"""Columns where no terminal has its own: no line is broken there, nor cut."""

DIGEST_SHOWN = 16
"""Hexadecimal digits of a digest that a person compares."""


class _Console(Console):
    """Rich's console, which leaves it to us what a reader that has gone means."""

    def on_broken_pipe(self) -> None:
        """Raise the `BrokenPipeError` that is being handled."""
        raise  # noqa: PLE0704 - it is called inside its handler


def console(out: TextIO) -> Console:
    """Return a console that colours on a terminal alone, and breaks no line elsewhere."""
    if isinstance(out, TextIOWrapper):
        out.reconfigure(errors="replace")  # a terminal without Unicode gets what it can show
    width = None if out.isatty() else NO_LIMIT
    return _Console(file=out, highlight=False, markup=False, emoji=False, width=width)


def show(report: Report, to: Console, *, verbose: bool = False) -> None:
    """Print a report."""
    page = _Page(to.encoding.lower().startswith("utf"))
    to.print(Group(*page.everything(report, verbose=verbose)))


class _Page:
    """Renders with the signs that the terminal can show."""

    def __init__(self, unicode: bool) -> None:  # noqa: FBT001 - the one thing that the signs depend on
        self._signs = SIGNS if unicode else ASCII_SIGNS
        self._line = " ─ " if unicode else " - "
        self._arrow = "→" if unicode else "->"

    def sign(self, state: State) -> Text:
        return Text(self._signs[state], STYLES[state])

    def everything(self, report: Report, *, verbose: bool) -> Iterable[RenderableType]:
        state = report_state(report)
        yield Text.assemble(self.sign(state), " ", (headline(report), f"bold {STYLES[state]}"))
        if report.outcomes:
            yield Padding(self._senders(report), (0, 0, 0, 2), expand=False)
        yield from (self._tree(report),)
        told = [each for each in report.findings if verbose or each.severity not in QUIET_CODES]
        left = len(report.findings) - len(told)
        for finding in told:
            yield from self._finding(finding)
        if left:
            yield Text(f"{left} further note{'' if left == 1 else 's'}: add -v", "dim")

    def _senders(self, report: Report) -> Text:
        """Return who does what, those who do the same together."""
        grouped: dict[tuple[Outcome, bool], list[Sender]] = {}
        for sender, outcome in report.outcomes.items():
            elsewhere = outcome == "deferred" and bool(report.delivers.get(sender))
            grouped.setdefault((outcome, elsewhere), []).append(sender)
        lines = []
        for (outcome, elsewhere), senders in grouped.items():
            words = outcome_words(outcome, senders[0])
            names = ", ".join(SENDER_NAMES[sender] for sender in senders)
            line = Text.assemble(self.sign(OUTCOME_STATES[outcome]), f" {names}: {words}")
            lines.append(line.append(" there; mail gets through elsewhere") if elsewhere else line)
        return Text("\n").join(lines)

    def _tree(self, report: Report) -> Tree:
        found = report.discovery.found
        root = Text(shown(report.target, 260), "bold")
        if found is not None:
            kind = found.lookup.rrtype
            words = {
                "listed": f"{kind} {found.security}",
                "implicit": f"no {kind} record, so it is its own host",
                "null": "null MX: it takes no mail" if kind == "MX" else "it has no such service",
                "missing": "no such domain",
                "error": f"{kind}: {found.security}",
                "given": "",
            }[report.discovery.kind]
            state = SECURITY_STATES[found.security] if report.discovery.kind != "missing" else "unknown"
            root.append("  ").append_text(self.sign(state)).append(f" {words}")
            if found.why:
                root.append(f" ({shown(found.why)})")
        tree = Tree(root)
        for endpoint in report.endpoints:
            self._endpoint(tree, endpoint, report)
        if report.discovery.left_out:
            tree.add(Text(f"and {len(report.discovery.left_out)} more hosts, not looked at", "dim"))
        return tree

    def _endpoint(self, tree: Tree, endpoint: EndpointReport, report: Report) -> None:
        preference = "" if endpoint.preference is None else f"{endpoint.preference} "
        title = Text.assemble((preference, "dim"), (shown(endpoint.name, 260), "bold"))
        branch = tree.add(title.append("  ").append_text(self._stages(endpoint, report)))
        where = [shown(address, 60) for address in endpoint.addresses] or [shown(endpoint.why) or "no address"]
        alias = f", an alias of {shown(endpoint.canonical, 260)}" if endpoint.canonical != endpoint.host else ""
        branch.add(Text(f"{', '.join(where)}  {endpoint.security}{alias}"))
        tlsa = endpoint.tlsa
        if tlsa.owner:
            line = Text(f"{shown(tlsa.owner, 300)}  {self._tlsa_words(endpoint)}")
            records = branch.add(line)
            for record in tlsa.records:
                records.add(self._record(record, endpoint))
        for attempt in endpoint.attempts:
            if attempt.shaken.failure != "not-offered":
                branch.add(self._attempt(attempt))

    def _stages(self, endpoint: EndpointReport, report: Report) -> Text:
        """Return the picture as one line: DNSSEC, MX, address, TLSA, TLS, chain."""
        line = Text()
        for name, state in stages(endpoint, report):
            line.append(self._line if line else "", "dim").append(f"{name} ").append_text(self.sign(state))
        return line

    def _tlsa_words(self, endpoint: EndpointReport) -> str:
        tlsa = endpoint.tlsa
        if tlsa.kind == "error":
            return f"cannot be looked up: {shown(tlsa.why)}"
        if tlsa.kind == "not-asked":
            return "nobody asks for it" + (" below an insecure address" if endpoint.addresses else "")
        if tlsa.kind == "none":
            return "no records"
        ttl = f", TTL {tlsa.found.ttl}" if tlsa.found else ""
        usable = ", none of them usable" if tlsa.kind == "unusable" else ""
        return f"{len(tlsa.records)} record{'' if len(tlsa.records) == 1 else 's'}{usable}, {_security(endpoint)}{ttl}"

    def _record(self, record: TlsaRecord, endpoint: EndpointReport) -> Text:
        met = [(each, one) for each in endpoint.attempts for one in each.records if one.record == record]
        matched = [(attempt, verdict) for attempt, verdict in met if verdict.matches]
        digest = record.data.hex()
        text = f"{record.spec} {digest[:DIGEST_SHOWN]}{'…' if len(digest) > DIGEST_SHOWN else ''}"
        if matched:
            kinds = dict.fromkeys(ALGORITHMS[attempt.algorithm] for attempt, _ in matched)
            depths = dict.fromkeys(verdict.depth for _, verdict in matched)
            what = " and ".join("the leaf" if depth == 0 else "a CA" for depth in depths)
            return Text.assemble(self.sign("good"), f" {text}  matches {what} ({', '.join(kinds)})")
        why = next((verdict.why for _, verdict in met), "nothing to compare it with")
        usable = all(verdict.usable for _, verdict in met)
        return Text.assemble(self.sign("plain" if usable else "weak"), f" {text}  {shown(why)}")

    def _attempt(self, attempt: Attempt) -> Text:
        shaken, chain = attempt.shaken, attempt.shaken.chain
        state = outcomes_state(attempt.outcomes.values())
        line = Text.assemble(self.sign(state), f" {attempt.address}")
        if shaken.through:
            line.append(f" (through {shown(shaken.through, 60)})", "dim")
        if chain is None:
            failure = FAILURES[shaken.failure] if shaken.failure else "nothing presented"
            return line.append(f"  {failure}: {shown(shaken.detail)}" if shaken.detail else f"  {failure}")
        subject = shown(pki.subject_text(chain.leaf_der), 80)
        return line.append(
            f"  {ALGORITHMS[chain.algorithm]}  {shaken.version}  {subject}, key {chain.spki_sha256[:DIGEST_SHOWN]}…, "
            f"until {chain.not_after:%Y-%m-%d}"
        )

    def _finding(self, finding: Finding) -> Iterable[RenderableType]:
        state = SEVERITY_STATES[finding.severity]
        yield Text()
        yield Text.assemble(
            self.sign(state), " ", (finding.code, f"bold {STYLES[state]}"), f"  {shown(finding.subject)}"
        )
        yield Padding(Text(shown(finding.text, 1200)), (0, 0, 0, 2), expand=False)
        if finding.remedy:
            rfc = f" ({finding.rfc})" if finding.rfc else ""
            yield Padding(
                Text.assemble((f"{self._arrow} ", "bold"), shown(finding.remedy, 1200), (rfc, "dim")),
                (0, 0, 0, 2),
                expand=False,
            )


def stages(endpoint: EndpointReport, report: Report) -> Sequence[tuple[str, State]]:
    """Return the steps of a sender's way to one endpoint, each with how it stands."""
    found = report.discovery.found
    steps: list[tuple[str, State]] = []
    if found is not None and report.discovery.kind in {"listed", "implicit"}:
        steps.append((found.lookup.rrtype, SECURITY_STATES[found.security]))
    steps.append(("address", SECURITY_STATES[endpoint.security] if endpoint.addresses or endpoint.why else "unknown"))
    steps.append(("TLSA", tlsa_place(endpoint).state))
    tried = [each for each in endpoint.attempts if each.shaken.failure != "not-offered"]
    shaken = [each.shaken for each in tried]
    if not shaken:
        tls: State = "unknown"
    elif all(each.chain is not None for each in shaken):
        tls = "good"
    else:
        tls = (
            "bad"
            if any("deferred" in each.outcomes.values() for each in tried if each.shaken.chain is None)
            else "unknown"
        )
    steps.append(("TLS", tls))
    chains: State = outcomes_state(
        outcome for each in tried if each.shaken.chain is not None for outcome in each.outcomes.values()
    )
    steps.append(("chain", chains))
    return steps


def _security(endpoint: EndpointReport) -> str:
    found = endpoint.tlsa.found
    return found.security if found else "secure"


def one_line(result: Result, to: Console) -> Text:
    """Return one line about one of many targets."""
    page = _Page(to.encoding.lower().startswith("utf"))
    if isinstance(result, NotJudged):
        return Text.assemble(page.sign("unknown"), f" line {result.line}: {shown(result.problem)}")
    report = result.report
    worst = next((each for each in report.findings if each.severity in {"error", "warning"}), None)
    line = Text.assemble(page.sign(report_state(report)), f" {headline(report)}")
    return line.append(f"  {worst.code}: {shown(worst.subject, 200)}", "dim") if worst else line
