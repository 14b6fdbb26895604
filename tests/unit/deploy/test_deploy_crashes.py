"""Killed before any of its file-system calls, and run again: the same end, nothing half, no key lost or open."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from danelaw import pki
from danelaw.deploy import LocalHost
from danelaw.model import CertificateSpec, Deployment, FileSpec, Generation, Http01, KeyFact
from local_state import StandingClock, chain_of, killed_at, write_leaf_key

SPEC = CertificateSpec("example", ("a.test",), "le", Http01(webroots=("/w",)))
OLD, NEW, NEWER = chain_of("old.test"), chain_of("new.test"), chain_of("newer.test")
LIMIT = 300


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Give a folder in memory, where syncing costs nothing: these tests kill processes, not the power."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


class World:
    """A machine in a folder: a state, and a service's files at paths below ``etc``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.host = LocalHost(str(folder / "state"), "h", StandingClock())
        self.etc.mkdir(parents=True)
        self.spec = replace(SPEC, key=write_leaf_key(folder / "live.key"))

    def deployment(self, files: int) -> Deployment:
        specs = (
            FileSpec(str(self.etc / "all.pem"), ("cert", "key", "chain")),
            FileSpec(str(self.etc / "full.pem"), ("cert", "chain"), mode=0o644),
            FileSpec(str(self.etc / "live.key"), ("key",), mode=0o640),
        )
        return Deployment("example", specs[:files], ())

    def contents(self, deployment: Deployment) -> dict[str, bytes]:
        return {f.path: Path(f.path).read_bytes() for f in deployment.files if Path(f.path).exists()}

    def assert_no_key_is_open(self) -> None:
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                # Whoever opened a file while it was empty reads what is written into it later.
                if not content or b"PRIVATE KEY" in content:
                    assert not path.stat().st_mode & 0o007, f"{path} is the world's"


def at_every_call(
    tmp_path: Path, prepare: Callable[[World], None], work: Callable[[World], object], check: Callable[[World], None]
) -> int:
    """Kill ``work`` before each of its calls, each time on a fresh machine; ``check`` what is left. Return how many."""
    for nth in range(1, LIMIT):
        world = World(tmp_path / str(nth))
        prepare(world)
        was_killed = killed_at(nth, partial(work, world))
        world.assert_no_key_is_open()
        check(world)
        shutil.rmtree(world.folder)
        if not was_killed:
            return nth - 1
    pytest.fail(f"more than {LIMIT} calls")


def no_leftovers(world: World) -> None:
    left = [path for path in world.folder.rglob("*") if path.name.endswith((".new", ".old"))]
    assert left == []


# ---------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("adopt", [False, True], ids=["made", "adopted"])
def test_taking_a_key(tmp_path: Path, adopt: bool) -> None:  # noqa: FBT001 -- the parameter of the cases
    source = tmp_path / "source.pem"

    def spec(_: World) -> CertificateSpec:
        return replace(SPEC, key=str(source)) if adopt else SPEC

    if adopt:
        made = World(tmp_path / "first").host.take_key(SPEC)
        source.touch(mode=0o600)
        source.write_bytes(Path(made.path).read_bytes())
    keys_before: list[set[str]] = []

    def check(world: World) -> None:
        before = whole_keys(world)
        assert all(pki.load_source(text.encode()).kind == "private key" for text in before), "half a key"
        fact = world.host.take_key(spec(world))
        assert world.host.take_key(spec(world)) == fact
        assert whole_keys(world) == {Path(fact.path).read_text()}
        assert before <= whole_keys(world), "a key was lost"
        no_leftovers(world)
        keys_before.append(before)

    calls = at_every_call(tmp_path / "worlds", lambda _: None, lambda world: world.host.take_key(spec(world)), check)
    assert calls > 8
    assert set() in keys_before
    assert any(keys_before)


@pytest.mark.parametrize("spent", [0, 1], ids=["the first next key", "after one that is known"])
def test_taking_a_next_key(tmp_path: Path, spent: int) -> None:
    known: list[KeyFact] = []
    unheard: list[int] = []

    def prepare(world: World) -> None:
        known[:] = [world.host.take_key(SPEC)]
        for _ in range(spent):
            known.append(world.host.take_next_key(SPEC, known))

    def work(world: World) -> None:
        world.host.take_next_key(SPEC, known)

    def check(world: World) -> None:
        before = whole_keys(world)
        assert all(pki.load_source(text.encode()).kind == "private key" for text in before), "half a key"
        unheard.append(len(before) - len(known))
        key = world.host.take_next_key(SPEC, known)
        assert key not in known
        assert world.host.take_next_key(SPEC, known) == key
        assert whole_keys(world) == {Path(row.path).read_text() for row in (*known, key)}
        assert before <= whole_keys(world), "a key was lost, and another one made"
        assert world.host.take_key(SPEC) == known[0]
        no_leftovers(world)

    assert at_every_call(tmp_path, prepare, work, check) > 8
    assert set(unheard) == {0, 1}


def test_taking_a_next_key_of_another_type_after_a_killed_run(tmp_path: Path) -> None:
    """Killed at one call, and once more at each call of the run after it, from each state that the first one leaves."""
    spec, states = replace(SPEC, key_type="p384"), set()
    for first in range(1, LIMIT):
        folder = tmp_path / str(first)
        if not killed_at(first, partial(World(folder).host.take_next_key, SPEC, [])):
            break
        found = [path.name for path in (folder / "state" / "keys").glob("*")]
        names = frozenset(name if name.startswith(("next-", ".")) else "a key" for name in found)
        if names in states:
            continue
        states.add(names)
        for second in range(1, LIMIT):
            world = World(folder / str(second))
            if (folder / "state").exists():
                shutil.copytree(folder / "state", world.folder / "state", symlinks=True)
            again = partial(world.host.take_next_key, spec, [])
            was_killed = killed_at(second, again)
            key = again()
            assert again() == key
            assert len(key.spki_der) == 120, "another curve than the one asked for"
            world.assert_no_key_is_open()
            no_leftovers(world)
            if not was_killed:
                break
    assert len(states) > 3


def whole_keys(world: World) -> set[str]:
    """Return the keys that stand under a name of their own: none of them may get lost."""
    folder = world.folder / "state" / "keys"
    paths = [path for path in folder.glob("*.pem") if not path.is_symlink()] if folder.exists() else []
    return {path.read_text() for path in paths}


def rolled(world: World, files: int) -> tuple[KeyFact, KeyFact]:
    """Bring a machine to where generation 2 is live, over the next key; return the first key and the next."""
    deployment = world.deployment(files)
    write_leaf_key(world.etc / "all.pem")  # so generation 0 holds the key too
    first = world.host.take_key(world.spec)
    coming = world.host.take_next_key(SPEC, [first])
    for n, key in ((1, first), (2, coming)):
        world.host.activate(deployment, world.host.stage(deployment, n, chain_of(f"{n}.test", key.spki_der), key))
    return first, coming


@pytest.mark.parametrize("earlier", [False, True], ids=["as it was", "adopted again"])
def test_archiving_a_key(tmp_path: Path, earlier: bool) -> None:  # noqa: FBT001 -- the parameter of the cases
    keys: list[KeyFact] = []

    def prepare(world: World) -> None:
        keys[:] = rolled(world, 1)
        if earlier:
            world.host.put_away(keys[0], "archive")
            world.host.take_key(world.spec)

    def check(world: World) -> None:
        assert world.host.sign(keys[0]).spki_der == keys[0].spki_der, "the key was lost on the way"
        kept = world.host.put_away(keys[0], "archive")
        assert (Path(kept.path).parent.name, Path(keys[0].path).exists()) == ("archive", False)
        assert world.host.sign(kept).spki_der == keys[0].spki_der
        no_leftovers(world)

    assert at_every_call(tmp_path, prepare, lambda world: world.host.put_away(keys[0], "archive"), check) > 3


def test_destroying_a_key(tmp_path: Path) -> None:
    files = 3
    keys: list[KeyFact] = []
    live: dict[str, bytes] = {}
    left: list[int] = []

    def prepare(world: World) -> None:
        keys[:] = rolled(world, files)
        live.clear()
        live.update(world.contents(world.deployment(files)))

    def copies(world: World) -> list[Path]:
        secret = (world.folder / "live.key").read_bytes()
        paths = [path for path in (world.folder / "state").rglob("*") if path.is_file() and not path.is_symlink()]
        return [path for path in paths if secret in path.read_bytes()]

    def check(world: World) -> None:
        left.append(len(copies(world)))
        deployment = world.deployment(files)
        assert world.contents(deployment) == live, "what services read was touched"
        for _ in range(2):
            assert world.host.put_away(keys[0], "shred").destroyed_at is not None
            assert copies(world) == []
        assert world.host.live(deployment) == world.host.generation(deployment, 2).files
        assert world.host.sign(keys[1]).spki_der == keys[1].spki_der
        chain = chain_of("3.test", keys[1].spki_der)
        world.host.activate(deployment, world.host.stage(deployment, 3, chain, keys[1]))
        no_leftovers(world)

    assert at_every_call(tmp_path, prepare, lambda world: world.host.put_away(keys[0], "shred"), check) > 10
    assert set(left) == {4, 3, 2, 1, 0}  # its own file, one of generation 0, two of generation 1


# --------------------------------------------------------------------------------------------------------- deployments


def prepared(world: World, files: int, upto: int) -> tuple[Deployment, KeyFact, list[Generation]]:
    """Bring a machine to where generation ``upto`` is live; 0: only what stood there at first."""
    deployment = world.deployment(files)
    (world.etc / "all.pem").write_text(pki.chain_pem(OLD))
    (world.etc / "all.pem").chmod(0o640)
    key = world.host.take_key(world.spec)
    generations = []
    for n, chain in enumerate((NEW, NEWER)[:upto], 1):
        generations.append(world.host.stage(deployment, n, chain, key))
        world.host.activate(deployment, generations[-1])
    return deployment, key, generations


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("upto", [0, 1])
def test_staging(tmp_path: Path, files: int, upto: int) -> None:
    live: dict[str, bytes] = {}

    def prepare(world: World) -> None:
        deployment, _, _ = prepared(world, files, upto)
        live.clear()
        live.update(world.contents(deployment))

    def work(world: World) -> None:
        world.host.stage(world.deployment(files), upto + 1, NEWER, world.host.take_key(world.spec))

    def check(world: World) -> None:
        deployment, key = world.deployment(files), world.host.take_key(world.spec)
        assert world.contents(deployment) == live, "staging touched what services read"
        generation = world.host.stage(deployment, upto + 1, NEWER, key)
        assert set(generation.files) == {f.path for f in deployment.files}
        assert world.host.generation(deployment, 0).leaf_sha256 == OLD.leaf_sha256
        world.host.activate(deployment, generation)
        assert world.host.live(deployment) == generation.files
        no_leftovers(world)

    assert at_every_call(tmp_path, prepare, work, check) > 5


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize(
    ("before", "to"), [(0, 1), (1, 2), (1, 0), (2, 1)], ids=["first", "renewal", "back to the first", "back"]
)
def test_going_live(tmp_path: Path, files: int, before: int, to: int) -> None:
    contents: dict[int, dict[str, bytes]] = {}

    def generation(world: World, n: int) -> Generation:
        return world.host.generation(world.deployment(files), n)

    def prepare(world: World) -> None:
        deployment, key, _ = prepared(world, files, before)
        if before < to:
            world.host.stage(deployment, to, (NEW, NEWER)[to - 1], key)
        contents[before] = world.contents(deployment)

    def work(world: World) -> None:
        world.host.activate(world.deployment(files), generation(world, to))

    def check(world: World) -> None:
        deployment = world.deployment(files)
        found = world.contents(deployment)
        world.host.activate(deployment, generation(world, to))
        contents[to] = world.contents(deployment)
        assert found in (contents[before], contents[to]), "a mixture, or half a file, was live"
        assert world.host.live(deployment) == generation(world, to).files
        assert list(world.host.writable(deployment)) == []
        no_leftovers(world)
        if to == 0:
            assert list(world.etc.iterdir()) == [world.etc / "all.pem"]

    assert at_every_call(tmp_path, prepare, work, check) > 5


def test_replacing_what_nobody_heard_of(tmp_path: Path) -> None:
    def prepare(world: World) -> None:
        deployment, key, _ = prepared(world, 3, 1)
        world.host.stage(deployment, 2, OLD, key)

    def work(world: World) -> None:
        world.host.stage(world.deployment(3), 2, NEWER, world.host.take_key(world.spec))

    def check(world: World) -> None:
        deployment = world.deployment(3)
        generation = world.host.stage(deployment, 2, NEWER, world.host.take_key(world.spec))
        world.host.activate(deployment, generation)
        assert world.host.live(deployment) == generation.files
        no_leftovers(world)

    assert at_every_call(tmp_path, prepare, work, check) > 5


@pytest.mark.parametrize("files", [1, 3])
def test_going_live_over_another_tool_s_file(tmp_path: Path, files: int) -> None:
    def prepare(world: World) -> None:
        deployment, key, _ = prepared(world, files, 1)
        world.host.stage(deployment, 2, NEWER, key)
        (world.etc / "all.pem").unlink()
        (world.etc / "all.pem").write_bytes(b"another tool's")

    def work(world: World) -> None:
        deployment = world.deployment(files)
        world.host.activate(deployment, world.host.generation(deployment, 2))

    def check(world: World) -> None:
        deployment = world.deployment(files)
        found = (world.etc / "all.pem").read_bytes()
        assert found == b"another tool's" or pki.parse_chain(found).leaf_sha256 == NEWER.leaf_sha256
        work(world)
        assert world.host.live(deployment) == world.host.generation(deployment, 2).files
        kept = [path.read_bytes() for path in (world.folder / "state").rglob("found/*")]
        assert kept == [b"another tool's"]
        no_leftovers(world)

    assert at_every_call(tmp_path, prepare, work, check) > 5
