"""One command over the rings of a configuration: errors become an exit status and one or two lines."""

import argparse
import errno
import json
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO

from danelaw.cli.terminal import Countdown, unwritten, write_line
from danelaw.errors import ConfigError, DanelawError, InputError, LeaseHeld, Stopped
from danelaw.run.rings import Around, Event, Rings, nothing

if TYPE_CHECKING:
    from danelaw.config import Config  # start-up: `tlsa` of files reads no config
    from danelaw.model import Survey

Json = dict[str, Any]

STATELESS = frozenset({"check", "match", "serve", "tlsa"})
"""Commands that leave nothing to be carried on."""

OUTPUT_FAILS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""How writing to standard output fails where that is a file."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run(arguments: argparse.Namespace, around: Around = nothing) -> int:
    """Run one command; return its exit status."""
    for number in STOPPING:
        signal.signal(number, _stop)
    try:
        return _flushed(COMMANDS[arguments.command](arguments, around))
    except (ConfigError, InputError) as error:
        return _failed(error, 2)
    except LeaseHeld as error:
        return _failed(error, 75)
    except Stopped as stop:
        rest = "" if arguments.command in STATELESS else "; the next run carries on"
        sys.stderr.write(f"danelaw: {stop}{rest}\n")
        return _broken_off(arguments)
    except DanelawError as error:
        return _failed(error, 1)
    except OSError as error:  # of output: what else fails has words of its own
        if not isinstance(error, BrokenPipeError) and error.errno not in OUTPUT_FAILS:
            return _defect(arguments, error)
        unwritten(error)
        return _broken_off(arguments)
    except Exception as error:  # noqa: BLE001 - a stack trace is a bug, and so is whatever brings us here
        return _defect(arguments, error)


def _flushed(status: int) -> int:
    sys.stdout.flush()  # here, where a full disk still has words
    return status


def _defect(arguments: argparse.Namespace, error: Exception) -> int:
    if arguments.verbose:
        raise error
    kind = type(error).__name__
    sys.stderr.write(f"danelaw: a defect of danelaw itself: {kind}: {error}; run it with -v, and report what it says\n")
    return _broken_off(arguments)


def _broken_off(arguments: argparse.Namespace) -> int:
    """Return the status of a command that did not come to its end: never one that is a verdict."""
    if arguments.command == "check":
        return 3 if arguments.nagios else 4
    return 2 if arguments.command == "match" else 1


def _failed(error: DanelawError, status: int) -> int:
    for line in str(error).splitlines():
        sys.stderr.write(f"danelaw: {line}\n")
    return status


def _stop(signum: int, frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that what is owed is done on the way out. It comes once: see `Stopped`."""
    del frame
    for number in STOPPING:
        signal.signal(number, _stopping)
    raise Stopped(f"told to stop by {signal.Signals(signum).name}")


def _stopping(signum: int, frame: FrameType | None) -> None:
    """Do nothing. SIG_IGN in its place would be inherited by a web server that is started on the way out."""
    del signum, frame


def configured(arguments: argparse.Namespace, asked: "Survey | None" = None) -> "Config":
    """Return the configuration of a command; ``asked`` answers for the services that it names. Raises `ConfigError`."""
    from danelaw.config import load  # noqa: PLC0415 (start-up)
    from danelaw.run.compose import survey  # noqa: PLC0415 (start-up)

    if getattr(arguments, "html", None) == "":
        raise InputError("--html: is empty")
    deploys_nothing = arguments.command in {"recover", "status"}
    config = load(arguments.config, asked or survey(arguments.config, prefers_last=deploys_nothing))
    if not config.desired.certificates and arguments.command in {"plan", "apply"}:
        raise InputError(f'{arguments.config} has no certificate, so nothing is managed; add a [certificate."NAME"]')
    warn(arguments, config.warnings)
    return config


def warn(arguments: argparse.Namespace, warnings: Iterable[object]) -> None:
    """Say what is accepted of the configuration and not advised, on standard error."""
    if not arguments.quiet and arguments.command in {"plan", "apply"}:
        for warning in warnings:
            sys.stderr.write(f"danelaw: warning: {warning}\n")


def show(arguments: argparse.Namespace, value: Json, lines: Callable[[Json], Iterable[str]]) -> None:
    """Print what a command has to say: with ``--json`` the value itself, else the lines that are made of it."""
    if arguments.json:
        json.dump(value, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    for line in lines(value):
        if arguments.quiet and arguments.command in QUIETER and not line.startswith(LOUD):
            continue
        write_line(sys.stdout, line)


QUIETER = frozenset({"apply", "recover", "rollover", "revoke", "withdraw", "adopt"})
"""Commands of which ``-q`` leaves out what went well."""

LOUD = ("HOLD", "      to do", "FAILED", "again")
"""How lines begin that ``-q`` prints all the same."""


def listener(arguments: argparse.Namespace, told: set[str] | None = None) -> Callable[[Event], None]:
    """Print what happens as it happens: on standard error with ``--json``, else beside the rest.

    ``told`` gets the failures; one that was told is not spelt out again.
    """
    from danelaw.cli.words import once  # noqa: PLC0415 (start-up)

    out: TextIO = sys.stderr if arguments.json else sys.stdout
    failures: set[str] = set() if told is None else told

    def listen(event: Event) -> None:
        text = once(event.text, failures)
        if event.kind == "failed":
            text = "as above" if event.text in failures else event.text
            failures.add(event.text)
        if (arguments.quiet and event.kind != "failed") or (event.kind == "detail" and not arguments.verbose):
            return
        mark = {"step": "now ", "done": "done", "failed": "FAILED", "lost": "lost"}.get(event.kind, "    ")
        line = f"{mark}  {event.at:%H:%M:%S}  {text}"
        # Whoever reads may have gone (`| head`), the log's disk be full: that is not to end a run in the middle.
        with suppress(OSError):
            write_line(out, line)
            out.flush()

    return listen


def watched(arguments: argparse.Namespace, rings: Rings) -> Rings:
    """Return rings that show a countdown while ``--wait`` waits, where somebody looks on."""
    out: TextIO = sys.stderr if arguments.json else sys.stdout
    return rings if arguments.quiet or not out.isatty() else replace(rings, countdown=Countdown(out))


def _plan(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.words import is_to_do, plan_lines  # noqa: PLC0415 (start-up)
    from danelaw.run.compose import opened  # noqa: PLC0415 (start-up)
    from danelaw.run.notes import address_notes, notes  # noqa: PLC0415 (start-up)
    from danelaw.run.plan import planned  # noqa: PLC0415 (start-up)
    from danelaw.run.report import plan_json  # noqa: PLC0415 (start-up)
    from danelaw.run.runner import chosen  # noqa: PLC0415 (start-up)

    config = configured(arguments)
    chosen(config.desired, arguments.names)
    with opened(config, _to_stderr(arguments), changes=False, around=around) as world:
        warn(arguments, world.warnings)
        found = planned(config.desired, world.rings, arguments.names)
        said = notes(config.desired, world.store.snapshot(), world.rings.host)
        said += address_notes(config.desired, world.rings.dns)
        at = world.rings.clock.now()
    value = plan_json(found.entries, said)
    show(arguments, value, plan_lines)
    if arguments.html:
        from danelaw.cli.pages import write_page  # noqa: PLC0415 (start-up)
        from danelaw.web.timeline.pages import plan_page  # noqa: PLC0415 (start-up: it imports Jinja2)

        write_page(arguments, plan_page(config.desired, *found, said, at, arguments.names))
    return 3 if arguments.exit_code and is_to_do(value) else 0


def _to_stderr(arguments: argparse.Namespace) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if arguments.verbose:
            sys.stderr.write(f"danelaw: {event.text}\n")

    return listen


def _apply(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.words import outcome_lines  # noqa: PLC0415 (start-up)
    from danelaw.run.agenda import keep_agenda  # noqa: PLC0415 (start-up)
    from danelaw.run.compose import opened, survey  # noqa: PLC0415 (start-up)
    from danelaw.run.notes import address_notes, notes  # noqa: PLC0415 (start-up)
    from danelaw.run.report import outcome_json  # noqa: PLC0415 (start-up)
    from danelaw.run.runner import Options, apply  # noqa: PLC0415 (start-up)

    if arguments.staging:
        raise InputError("--staging is not yet supported; use a second config with directory = letsencrypt-staging")
    asked = survey(arguments.config)
    config = configured(arguments, asked)
    options = Options(
        names=tuple(arguments.names),
        wait=arguments.wait,
        retry_now=arguments.retry_now,
        force_renewal=arguments.force_renewal,
        by="apply --force-renewal",
    )
    told: set[str] = set()
    with opened(config, listener(arguments, told), around=around) as world:
        kept_not = asked.keep()
        warn(arguments, [*world.warnings, *([kept_not] if kept_not else [])])
        outcome = apply(config.desired, watched(arguments, world.rings), options)
        if not arguments.names:
            keep_agenda(config, world.rings, world.store, outcome)
        said = notes(config.desired, world.store.snapshot(), world.rings.host)
        said += address_notes(config.desired, world.rings.dns)
    show(arguments, outcome_json(outcome, said), lambda value: outcome_lines(value, told))
    return outcome.exit_status


def _recover(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.run.compose import opened  # noqa: PLC0415 (start-up)
    from danelaw.run.runner import run_recover  # noqa: PLC0415 (start-up)

    config = configured(arguments)
    with opened(config, listener(arguments), around=around) as world:
        failed = run_recover(config.desired, world.rings)
    value = {"schema": 1, "failed": failed}
    show(arguments, value, lambda found: [f"FAILED  {line}" for line in found["failed"]] or ["Nothing is owed now."])
    return 1 if failed else 0


def _status(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.words import status_lines  # noqa: PLC0415 (start-up)
    from danelaw.run.clocks import known_now  # noqa: PLC0415 (start-up)
    from danelaw.run.compose import opened  # noqa: PLC0415 (start-up)
    from danelaw.run.notes import notes  # noqa: PLC0415 (start-up)
    from danelaw.run.runner import chosen  # noqa: PLC0415 (start-up)
    from danelaw.run.status import status  # noqa: PLC0415 (start-up)

    config = configured(arguments)
    desired = chosen(config.desired, arguments.names)
    with opened(config, changes=False, around=around) as world:
        facts = known_now(world.rings)
        said = notes(config.desired, facts, world.rings.host)
        at = world.rings.clock.now()
        host_id = world.rings.host_id
    value = status(desired, facts, at, said, host_id)
    show(arguments, value, status_lines)
    if arguments.html:
        from danelaw.cli.pages import write_page  # noqa: PLC0415 (start-up)
        from danelaw.web.timeline.pages import managed, managed_page  # noqa: PLC0415 (start-up: it imports Jinja2)

        write_page(arguments, managed_page(managed(desired, facts, said, at), served=False))
    return 0


def _rollover(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.rollover import rollover  # noqa: PLC0415 (start-up)

    return rollover(arguments, around)


def _revoke(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.rollover import revoke  # noqa: PLC0415 (start-up)

    return revoke(arguments, around)


def _withdraw(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.withdraw import withdraw  # noqa: PLC0415 (start-up)

    return withdraw(arguments, around)


def _adopt(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.withdraw import adopt  # noqa: PLC0415 (start-up)

    return adopt(arguments, around)


def _tlsa(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.tlsa import tlsa  # noqa: PLC0415 (start-up)

    del around  # it has no world
    return tlsa(arguments)


def _check(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.check import check  # noqa: PLC0415 (start-up)

    del around  # it looks from outside, and keeps no state
    return check(arguments)


def _match(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.match import match  # noqa: PLC0415 (start-up)

    del around  # it has no world
    return match(arguments)


def _timer(arguments: argparse.Namespace, around: Around) -> int:
    del around
    import platform  # noqa: PLC0415 (start-up)
    from pathlib import Path  # noqa: PLC0415 (start-up)

    from danelaw.cli import timer  # noqa: PLC0415 (start-up)

    danelaw, config = timer.this_danelaw(), str(Path(arguments.config).absolute())
    if arguments.cron and arguments.install:
        raise InputError("--cron and --install: a cron line is printed, and where it goes is yours to say")
    if arguments.cron:
        line = timer.cron_line(danelaw, config, platform.node())
        show(arguments, {"schema": 1, "cron": line}, lambda value: [CRON_PATH, value["cron"]])
        return 0
    wanted = dict(timer.units(danelaw, config, _written(arguments)))
    if not arguments.install:
        show(arguments, {"schema": 1, "units": wanted}, lambda value: _units(value["units"]))
        return 0
    folder = Path(arguments.unit_dir).absolute()
    changed = timer.install(folder, wanted)
    done = {"schema": 1, "unit_dir": str(folder), "changed": changed, "next": timer.start(folder)}
    show(arguments, done, lambda value: [*(f"wrote {folder / name}" for name in value["changed"]), value["next"]])
    return 0


def _written(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return what `timer.writable` says of the config; units can be had before there is one."""
    from pathlib import Path  # noqa: PLC0415 (start-up)

    from danelaw.cli.timer import writable  # noqa: PLC0415 (start-up)

    if not Path(arguments.config).exists():
        return ()
    try:
        return writable(configured(arguments))
    except ConfigError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"danelaw: warning: {line}\n")
        return ()


CRON_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _units(units: dict[str, str]) -> Iterable[str]:
    for name, text in units.items():
        yield f"# --- {name}"
        yield from text.splitlines()
        yield ""


def _serve(arguments: argparse.Namespace, around: Around) -> int:
    from danelaw.cli.serve import serve  # noqa: PLC0415 (start-up)

    del around
    return serve(arguments)


COMMANDS: dict[str, Callable[[argparse.Namespace, Around], int]] = {
    "plan": _plan,
    "apply": _apply,
    "recover": _recover,
    "status": _status,
    "revoke": _revoke,
    "rollover": _rollover,
    "withdraw": _withdraw,
    "adopt": _adopt,
    "timer": _timer,
    "tlsa": _tlsa,
    "match": _match,
    "check": _check,
    "serve": _serve,
}
