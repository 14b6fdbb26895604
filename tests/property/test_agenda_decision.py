"""What ``apply`` decides before it looks, held against the slow ways: reading every file, tomllib, argparse."""

import contextlib
import io
import os
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.cli.arguments import parser
from danelaw.cli.fast import plain_apply
from danelaw.config import digest, head
from danelaw.config.files import DEFAULT_STATE_DIR, paths
from danelaw.model import Intent
from danelaw.store import SqliteStore
from danelaw.store.agenda import UNSURE, nothing_due, store_path, sure_stat
from fakes.running_clock import RunningClock
from world.server import wait_until

DEPLOYED = ("live/a.pem", "live/b.pem", "live/absent.pem")
SETTINGS = ("danelaw.toml", "conf.d/10.toml", "conf.d/20.toml")


class Looked:
    """A state folder, a config and deployed files as a look left them; then all kinds of things happen to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, str(folder / SETTINGS[0])
        for name in (*DEPLOYED[:2], *SETTINGS[:2]):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"# {name}\n")
        self.store = SqliteStore(store_path(str(folder / "state")), RunningClock(), "h")
        wait_until(lambda: all(stood[1:] != UNSURE for stood in self._stood(paths(self.config), now())), "files to age")
        self.at = now()
        deployed = self._stood([str(folder / name) for name in DEPLOYED], self.at)
        config = self._stood(paths(self.config), self.at)
        self.store.set_agenda(digest(self.config), self.at + timedelta(days=1), self.at, deployed, config)
        self.before = self._all()

    @staticmethod
    def _stood(files: list[str] | tuple[str, ...], at: datetime) -> list[tuple[str, int, int, int, int]]:
        return [sure_stat(file, at) for file in files]

    def _all(self) -> tuple[object, ...]:
        """Return everything that a look would find, read in full."""
        deployed = {name: self._contents(name) for name in DEPLOYED}
        config = {path: self._contents(path) for path in paths(self.config)}
        facts = self.store.snapshot()
        asked = [row for row in facts.intents if row.closed_at is None]
        begun = [row for row in facts.effects if row.ended_at is None]
        return deployed, config, asked, begun

    def _contents(self, name: str) -> bytes | None:
        with contextlib.suppress(OSError):
            return (self.folder / name).read_bytes()
        return None

    @property
    def changed(self) -> bool:
        return self._all() != self.before

    @property
    def due(self) -> bool:
        found = nothing_due(str(self.folder / "state"), paths(self.config), lambda: digest(self.config), now())
        return found is None

    def happen(self, what: str, name: str, text: str) -> None:
        path = self.folder / name
        match what:
            case "write":
                path.write_text(text)
            case "write and keep the time":
                times = path.stat() if path.exists() else None
                path.write_text(text)
                if times:
                    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
            case "replace":
                new = self.folder / "new"
                new.write_text(text)
                new.rename(path)
            case "remove":
                path.unlink(missing_ok=True)
            case "touch":
                path.touch()
            case "link":
                target = self.folder / "target"
                target.write_text(text)
                path.unlink(missing_ok=True)
                path.symlink_to(target)
            case "ask":
                self.store.record([Intent("example", "renew", "root", now(), now() if text else None)])
            case "begin":
                effect = self.store.begin("publish", "", "", now())
                if text:
                    self.store.end(effect, "done", "", now())


def now() -> datetime:
    return datetime.now(UTC)


EVENTS = st.tuples(
    st.sampled_from(
        ["write", "write and keep the time", "replace", "remove", "touch", "link", "ask", "begin"],
    ),
    st.sampled_from([*DEPLOYED, *SETTINGS[1:], SETTINGS[0]]),
    st.sampled_from(["", "# danelaw.toml\n", "# live/a.pem\n", "# danelaw.tomL\n", "# conf.d/10.toml\n"]),
)


@given(events=st.lists(EVENTS, max_size=3))
@settings(max_examples=60, deadline=None)
def test_what_has_changed_is_always_noticed(events: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        looked = Looked(Path(folder))
        assert not looked.due
        for event in events:
            looked.happen(*event)
        if looked.changed:
            assert looked.due


def test_a_config_written_anew_with_the_same_contents_is_the_same() -> None:
    """The twin: not everything is taken for a change."""
    with tempfile.TemporaryDirectory() as folder:
        looked = Looked(Path(folder))
        for name in SETTINGS[:2]:
            looked.happen("replace", name, f"# {name}\n")
        assert not looked.changed
        assert not looked.due


PIECES = st.sampled_from(
    [
        *('state_dir = "/srv/x"', "state_dir = '/srv/y'", 'state_dir="rel"#x', 'state_dir = "a" "b"', "state_dir"),
        *('history = "1d"', "# a remark = 1", "", "\t", "[x]", "  [[x.y]]", 'a = """', '"""', "b = [1,", "]", "c = 1"),
        *('state_dir = "\\u0041"', 'state_dir = "\t"', 'state_dir = ""', 'state-dir = "x"', '"state_dir" = "q"'),
        *(
            "# \x01",
            "\x0c",
            "\r",
            'state_dir = "ü" # ü "',
            '\u00a0state_dir = "n"',
            "state_dir = ",
            'a.b = "c"',
            '= "x"',
        ),
        *('state_dir = "#"', 'x = "\x7f"', "\ufeff", "a = 'x\"y\"'", 'state_dir = "/z"]'),
    ]
)


def toml_head(contents: bytes) -> str | None:
    """Return state_dir as tomllib reads it, of the longest beginning that ends before a table and parses."""
    lines = contents.decode().split("\n")
    table = next((n for n, line in enumerate(lines) if line.lstrip(" \t").startswith("[")), len(lines))
    try:
        found = tomllib.loads("\n".join(lines[:table]) + "\n" * (table < len(lines)))
    except ValueError:
        return None
    state_dir = found.get("state_dir", DEFAULT_STATE_DIR)
    return state_dir if isinstance(state_dir, str) and state_dir else None


@given(
    pieces=st.lists(PIECES | st.text(max_size=12), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    padding=st.sampled_from([0, 8180, 8190, 8192]),
)
@settings(max_examples=400, deadline=None)
def test_the_head_is_what_tomllib_reads(pieces: list[str], end: str, padding: int) -> None:
    text = end.join(["#" * padding, *pieces, "[t]"] if padding else [*pieces, "[t]"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "danelaw.toml"
        try:
            path.write_bytes(text.encode())
        except UnicodeEncodeError:  # a surrogate is no text
            return
        expected = toml_head(path.read_bytes())
        assert head(str(path)) == (expected and os.path.normpath(Path(folder) / expected))


WORDS = st.sampled_from(
    [
        *("apply", "plan", "--config", "/etc/x", "--config=/etc/y", "-q", "-v", "--quiet", "--verbose", "--json"),
        *("--wait", "--force-renewal", "--retry-now", "--staging", "name", "", "--", "-", "-qv", "--conf", "--quie"),
    ]
)


@given(argv=st.lists(WORDS, max_size=5))
@settings(max_examples=500, deadline=None)
def test_the_plain_command_line_is_what_argparse_reads(argv: list[str]) -> None:
    plain = plain_apply(argv)
    if plain is None:
        return
    with contextlib.redirect_stderr(io.StringIO()):
        read = parser().parse_args(argv)
    assert (read.command, read.config, read.quiet) == ("apply", *plain)
    others = vars(read).keys() - {"command", "config", "quiet", "verbose"}
    assert not any(getattr(read, option) for option in others)


def forms() -> Iterator[list[str]]:
    yield ["apply"]
    yield ["-q", "apply"]
    yield ["--config", "/x", "--verbose", "apply"]


def test_how_timers_call_it_is_plain() -> None:
    """The twin: it does not leave everything to argparse."""
    assert [plain_apply(argv) for argv in forms()] == [
        ("/etc/danelaw/danelaw.toml", False),
        ("/etc/danelaw/danelaw.toml", True),
        ("/x", False),
    ]
    for argv in (["apply", "example.org"], ["apply", "--wait"], ["--json", "apply"], ["-q", "-v", "apply"], []):
        assert plain_apply(argv) is None
