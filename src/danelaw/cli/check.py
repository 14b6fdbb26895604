"""`danelaw check`: the targets, the outside as the config has it, and every form in which a result is given."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from danelaw.check.document import document
from danelaw.check.examine import examine
from danelaw.check.exits import exit_status
from danelaw.check.feed import lines_of
from danelaw.check.many import Judged, NotJudged, Result, examine_many
from danelaw.check.outside import Outside
from danelaw.check.recorded import Recording, dumps, judge, loads
from danelaw.check.shared import Shared
from danelaw.check.targets import parse_target
from danelaw.cli.files import STANDARD_INPUT, config_if_any
from danelaw.cli.terminal import unwritten
from danelaw.dane.sender import Wishes
from danelaw.errors import DanelawError, InputError
from danelaw.model import Answer, Question, Report, Target
from danelaw.run.checking import checking
from danelaw.run.system import SystemClock

Json = dict[str, Any]

LONGEST_TIMEOUT = 300.0
"""Seconds; senders give up no later."""

MOST_TOGETHER = 64
"""Targets on the command line; more come by --file, which keeps none of them."""


def check(arguments: argparse.Namespace) -> int:
    """Check every target and say what was found; return the exit status of design.md, of a monitor with --nagios."""
    try:
        _agree(arguments)
        return asyncio.run(_stream(arguments)) if arguments.file else _check(arguments)
    except DanelawError as error:
        if not arguments.nagios:
            raise
        # A monitor reads one line, and takes 2 for critical.
        sys.stdout.write(f"DANE UNKNOWN: {'; '.join(str(error).splitlines()).replace('|', '/')}\n")
        return 3


def _check(arguments: argparse.Namespace) -> int:
    started = _seconds()
    reports, recording = _replayed(arguments) if arguments.replay else asyncio.run(_together(arguments))
    status, say = _said(arguments, reports, _seconds() - started)
    try:
        say()
        sys.stdout.flush()
    except BrokenPipeError as error:  # whoever reads has what it wanted; the verdict stands
        unwritten(error)
    _write_files(arguments, reports, recording)  # last: where that fails, the verdict has been said
    return status


def _write_files(arguments: argparse.Namespace, reports: list[Report], recording: Recording | None) -> None:
    """Write the page, the metrics and the recording, as far as they are asked for. Raises `InputError`."""
    from danelaw.cli import check_monitor  # noqa: PLC0415 (start-up)

    if arguments.prometheus:
        at = max(report.at for report in reports)
        check_monitor.write_whole(arguments.prometheus, check_monitor.metrics(reports, at))
    if recording is not None:
        check_monitor.write_whole(arguments.record, dumps(recording))
    if arguments.html:
        from danelaw.web.page import page  # noqa: PLC0415 (start-up: it imports Jinja2)

        check_monitor.write_whole(arguments.html, page(reports[0]))
        if not arguments.quiet:
            sys.stderr.write(f"danelaw: the page is {Path(arguments.html).absolute()}\n")


def _seconds() -> float:
    return SystemClock().boot()[1]


def _agree(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other. Raises `InputError`."""
    for option in ("html", "record", "replay", "prometheus", "file", "service", "protocol"):
        if getattr(arguments, option) == "":
            raise InputError(f"--{option}: is empty")
    forms = [name for name in ("json", "jsonl", "nagios") if getattr(arguments, name)]
    if len(forms) > 1:
        raise InputError(f"--{forms[0]} and --{forms[1]} contradict each other; give one of them")
    if bool(arguments.targets) + bool(arguments.file) + bool(arguments.replay) != 1:
        raise InputError("check takes TARGETs, or --file FILE with one a line, or --replay FILE")
    if arguments.html and (arguments.file or len(arguments.targets) > 1):
        raise InputError("--html is a page about one target; give one")
    if arguments.record and (arguments.file or len(arguments.targets) != 1):
        raise InputError("--record keeps the answers of one target; give one")
    if arguments.file and (arguments.nagios or arguments.json):
        raise InputError("--file streams: use --jsonl for machines")
    if arguments.require_dane and not arguments.nagios:
        raise InputError("--require-dane is for --nagios: it makes “not protected” critical")
    if len(arguments.targets) > MOST_TOGETHER:
        raise InputError(f"more than {MOST_TOGETHER} targets; put them into a file, one a line, and give --file FILE")
    if not 0 < arguments.timeout <= LONGEST_TIMEOUT:  # NaN is neither
        raise InputError(f"--timeout: {arguments.timeout:g} is none; expected seconds up to {LONGEST_TIMEOUT:g}")
    if not 1 <= arguments.jobs <= 1000:
        raise InputError(f"--jobs: {arguments.jobs} is none; expected 1 to 1000")


def _wishes(arguments: argparse.Namespace, ttls: Json) -> Wishes:
    from danelaw.check.roots import system_roots  # noqa: PLC0415 (start-up)

    mail_only = not any(":" in text for text in arguments.targets) and not (arguments.protocol or arguments.service)
    # Usages 0 and 1 mean nothing at port 25 (RFC 7672 section 3.1.3), so that the roots are read where they may matter.
    roots = () if mail_only and not arguments.file else system_roots()
    return Wishes(ttls=ttls, policy=not arguments.no_policy, roots_der=roots)


@dataclass(frozen=True, slots=True)
class _Around:
    outside: Outside
    wishes: Wishes
    clock: Any


def _around(arguments: argparse.Namespace) -> _Around:
    """Return the outside as the config has it, or as it is without one."""
    path, unread = config_if_any(arguments.config)
    if unread and not arguments.quiet:
        sys.stderr.write(f"danelaw: note: {unread}\n")
    made = checking(path, timeout=arguments.timeout, jobs=arguments.jobs)
    return _Around(made.outside, _wishes(arguments, dict(made.ttls)), made.clock)


async def _together(arguments: argparse.Namespace) -> tuple[list[Report], Recording | None]:
    targets = [parse_target(text, arguments.protocol, arguments.service) for text in dict.fromkeys(arguments.targets)]
    around = _around(arguments)
    known: dict[Question, Answer] | None = {} if arguments.record else None
    progress = _Progress(shown=sys.stderr.isatty() and not arguments.quiet, told=arguments.verbose)
    gate = asyncio.Semaphore(arguments.jobs)

    async def one(target: Target) -> Report:
        async with gate:
            return await examine(target, outside, around.clock, around.wishes, progress.tell, known=known)

    with progress:
        async with around.outside as outside:
            reports = list(await asyncio.gather(*(one(target) for target in targets)))
    if known is None:
        return reports, None
    return reports, Recording(targets[0], reports[0].at, tuple(known.values()), around.wishes)


def _replayed(arguments: argparse.Namespace) -> tuple[list[Report], None]:
    from danelaw.check.roots import system_roots  # noqa: PLC0415 (start-up)

    recording = loads(_read_text(arguments.replay), arguments.replay)
    # The CA certificates that clients trust are not in it: they are any machine's.
    return [judge(recording, replace(recording.wishes, roots_der=system_roots()))], None


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file that check --record wrote") from None


def _said(arguments: argparse.Namespace, reports: list[Report], seconds: float) -> tuple[int, Callable[[], None]]:
    """Return the exit status, and what prints the reports in the form asked for."""
    status = exit_status(report.status for report in reports)
    if arguments.nagios:
        from danelaw.cli.check_monitor import monitor_line  # noqa: PLC0415 (start-up)

        line, status = monitor_line(reports, require_dane=arguments.require_dane, seconds=seconds)
        return status, lambda: _print_line(line)
    return status, lambda: _print(arguments, reports, status)


def _print_line(line: str) -> None:
    """Print a line on standard output."""
    sys.stdout.write(f"{line}\n")


def _print(arguments: argparse.Namespace, reports: list[Report], status: int) -> None:
    if arguments.json:
        value = {"schema": 1, "status": status, "checks": [document(report) for report in reports]}
        _print_line(json.dumps(value, indent=2))
    elif arguments.jsonl:
        for report in reports:
            _write_json_line(document(report))
    elif not arguments.quiet or status:
        from danelaw.cli.check_tree import console, show  # noqa: PLC0415 (start-up: it imports rich)

        to = console(sys.stdout)
        for number, report in enumerate(reports):
            if number:
                to.print()
            show(report, to, verbose=arguments.verbose)


def _write_json_line(value: Json) -> None:
    _print_line(json.dumps(value, separators=(",", ":")))  # dumps, not dump: four times as fast


async def _stream(arguments: argparse.Namespace) -> int:
    """Check every line of a file; keep none."""
    counted: dict[int, int] = {}
    started = _seconds()
    progress = _Progress(shown=sys.stderr.isatty() and not arguments.quiet, told=False)
    with ExitStack() as ending:
        lines = _lines(arguments.file, ending)
        # also where it is stopped in the middle
        ending.callback(lambda: _summarize(arguments, counted, _seconds() - started))
        around = _around(arguments)
        say = _line_writer(arguments)
        ending.enter_context(progress)
        async with around.outside as entered:
            outside = Shared(entered)  # many domains have the same hosts

            async def one(target: Target) -> Report:
                return await examine(target, outside, around.clock, around.wishes)

            async with aclosing(_results(lines, one, arguments)) as results:
                async for result in results:
                    counted[result.status] = counted.get(result.status, 0) + 1
                    say(result)
                    done = sum(counted.values())
                    rate = done / max(_seconds() - started, 1e-3)
                    progress.tell(f"{done} checked, {rate:.0f} a second, {counted.get(1, 0)} not deliverable")
    if not counted:
        raise InputError(f"{arguments.file}: names no target; expected one a line")
    return exit_status(counted)


def _results(
    lines: AsyncIterable[str], one: Callable[[Target], Awaitable[Report]], arguments: argparse.Namespace
) -> AsyncGenerator[Result, None]:
    return examine_many(
        lines, one, jobs=arguments.jobs, parse=lambda text: parse_target(text, arguments.protocol, arguments.service)
    )


def _lines(name: str, ending: ExitStack) -> AsyncIterable[str]:
    if name == STANDARD_INPUT:
        return lines_of(sys.stdin)
    try:
        return lines_of(ending.enter_context(Path(name).open(encoding="utf-8", errors="replace")))
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}; give a file with one target a line") from None


def _line_writer(arguments: argparse.Namespace) -> Callable[[Result], None]:
    if arguments.jsonl:
        return _say_json
    from danelaw.cli.check_tree import console  # noqa: PLC0415 (start-up: it imports rich)

    to = console(sys.stdout)

    def say(result: Result) -> None:
        if arguments.quiet and result.status == 0:
            return
        from danelaw.cli.check_tree import one_line  # noqa: PLC0415 (start-up)

        to.print(one_line(result, to), soft_wrap=True)

    return say


def _say_json(result: Result) -> None:
    if isinstance(result, Judged):
        _write_json_line({"line": result.line, **document(result.report)})
    elif isinstance(result, NotJudged):
        _write_json_line(
            {"schema": 1, "line": result.line, "text": result.text, "status": 4, "problem": result.problem}
        )


def _summarize(arguments: argparse.Namespace, counted: Mapping[int, int], seconds: float) -> None:
    if counted and not arguments.quiet:
        sys.stderr.write(f"danelaw: {_summary(counted, seconds)}\n")


def _summary(counted: Mapping[int, int], seconds: float) -> str:
    words = {0: "good", 1: "not deliverable for some sender", 3: "not protected", 4: "could not be told"}
    parts = [f"{counted[status]} {text}" for status, text in words.items() if status in counted]
    rate = sum(counted.values()) / max(seconds, 1e-3)
    return f"{sum(counted.values())} checked in {seconds:.1f} s ({rate:.1f} a second): {', '.join(parts) or 'none'}"


class _Progress:
    """One line on a terminal that is written over; every line where more is to be said. A context manager."""

    EVERY = 0.1

    def __init__(self, *, shown: bool, told: bool) -> None:
        self._shown, self._told = shown, told
        self._last = 0.0

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        if self._shown and not self._told:
            with suppress(OSError):
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()

    def tell(self, text: str) -> None:
        """Say how far it is."""
        clean = "".join(c if c.isprintable() else "?" for c in text)
        if self._told:
            sys.stderr.write(f"danelaw: {clean}\n")
        elif self._shown and _seconds() - self._last > self.EVERY:
            self._last = _seconds()
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            with suppress(OSError):
                sys.stderr.write(f"\r\x1b[K{clean[: columns - 1]}")
                sys.stderr.flush()
