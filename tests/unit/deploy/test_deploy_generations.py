"""Deployed files: whole, owned as asked, live by one rename, and always a way back."""

import hashlib
import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from danelaw import pki
from danelaw.deploy import LocalHost
from danelaw.errors import DanelawError, Refused, StateCorrupt, UnsafePlan
from danelaw.model import CertificateSpec, Chain, Deployment, FileSpec, Generation, Http01, KeyFact
from local_state import NOW, StandingClock, chain_of, write_leaf_key

SPEC = CertificateSpec("example", ("a.test",), "le", Http01(webroots=("/w",)))
OLD, NEW, NEWER = chain_of("old.test"), chain_of("new.test"), chain_of("newer.test")
DAEMON = 12345  # a number that no user of the machine has: owners may be numbers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file to another user needs root")


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    return LocalHost(str(tmp_path / "state"), "h", StandingClock())


@pytest.fixture
def key(host: LocalHost, tmp_path: Path) -> KeyFact:
    return host.take_key(replace(SPEC, key=write_leaf_key(tmp_path / "live.key")))


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


@pytest.fixture
def one(etc: Path) -> Deployment:
    return Deployment("example", (FileSpec(str(etc / "all.pem"), ("cert", "key", "chain")),), ())


@pytest.fixture
def several(etc: Path) -> Deployment:
    files = (
        FileSpec(str(etc / "full.pem"), ("cert", "chain")),
        FileSpec(str(etc / "private" / "live.key"), ("key",), mode=0o640),
        FileSpec(str(etc / "chain.pem"), ("chain",)),
    )
    (etc / "private").mkdir()
    return Deployment("example", files, ())


def contents(deployment: Deployment) -> dict[str, bytes]:
    """Return what services read at the paths."""
    return {Path(f.path).name: Path(f.path).read_bytes() for f in deployment.files if Path(f.path).exists()}


def digests(deployment: Deployment) -> dict[str, str]:
    return {
        f.path: hashlib.sha256(Path(f.path).read_bytes()).hexdigest() for f in deployment.files if Path(f.path).exists()
    }


def identity(deployment: Deployment) -> dict[str, tuple[int, int]]:
    """Return what changes whenever a file or link is written again."""
    return {f.path: (Path(f.path).lstat().st_ino, Path(f.path).stat().st_ino) for f in deployment.files}


def deploy(host: LocalHost, deployment: Deployment, n: int, chain: Chain, key: KeyFact) -> Generation:
    generation = host.stage(deployment, n, chain, key)
    host.activate(deployment, generation)
    return generation


def mode(path: str | Path) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def tree(folder: Path) -> Mapping[str, object]:
    """Return a folder's names, modes, links and contents."""
    return {
        str(p.relative_to(folder)): (
            p.lstat().st_mode,
            str(p.readlink()) if p.is_symlink() else p.read_bytes() if p.is_file() else None,
        )
        for p in folder.rglob("*")
    }


# ------------------------------------------------------------------------------------------------------------ staging


def test_staging_changes_nothing_that_services_read(
    host: LocalHost, several: Deployment, key: KeyFact, etc: Path
) -> None:
    (etc / "full.pem").write_text(pki.chain_pem(OLD))
    before = tree(etc)
    generation = host.stage(several, 1, NEW, key)
    assert tree(etc) == before
    assert (generation.n, generation.leaf_sha256, generation.host) == (1, NEW.leaf_sha256, "h")
    assert (generation.deployment, generation.staged_at) == (several.id, NOW)
    assert set(generation.files) == {f.path for f in several.files}
    first = host.generation(several, 0)
    assert (first.leaf_sha256, first.files) == (OLD.leaf_sha256, host.live(several))
    assert host.generation_files(several, 1) == generation.files


def test_the_parts_stand_in_the_order_given(host: LocalHost, one: Deployment, key: KeyFact) -> None:
    generation = deploy(host, one, 1, NEW, key)
    parts = [pki.cert_pem(NEW.leaf_der), Path(key.path).read_text(), pki.cert_pem(NEW.certificates_der[1])]
    assert contents(one) == {"all.pem": "".join(parts).encode()}
    assert host.live(one) == generation.files == digests(one)


def test_staging_again_is_the_same_generation(
    host: LocalHost, several: Deployment, key: KeyFact, tmp_path: Path
) -> None:
    first = host.stage(several, 1, NEW, key)
    before = tree(tmp_path)
    assert host.stage(several, 1, NEW, key) == first
    assert tree(tmp_path) == before


def test_a_generation_that_nobody_heard_of_is_replaced_unless_it_is_live(
    host: LocalHost, several: Deployment, key: KeyFact
) -> None:
    host.stage(several, 1, NEW, key)
    generation = deploy(host, several, 1, NEWER, key)
    assert generation.leaf_sha256 == NEWER.leaf_sha256
    with pytest.raises(StateCorrupt, match="is live"):
        host.stage(several, 1, NEW, key)
    assert host.live(several) == generation.files


def test_a_key_and_another_key_s_certificate_are_not_staged_together(
    host: LocalHost, one: Deployment, several: Deployment
) -> None:
    other = host.take_key(SPEC)  # a key of its own is made
    with pytest.raises(UnsafePlan, match="over another key"):
        host.stage(one, 1, NEW, other)
    without_key = replace(several, files=several.files[:1])
    assert host.stage(without_key, 1, NEW, other).leaf_sha256 == NEW.leaf_sha256


def test_generation_zero_is_taken_once(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    (etc / "all.pem").write_bytes(b"at first")
    (etc / "all.pem").chmod(0o600)
    host.stage(one, 1, NEW, key)
    (etc / "all.pem").write_bytes(b"later")
    host.stage(one, 2, NEWER, key)
    assert host.generation_files(one, 0) == {one.files[0].path: hashlib.sha256(b"at first").hexdigest()}
    with pytest.raises(Refused, match="the first is 1"):
        host.stage(one, 0, NEW, key)


def test_what_was_not_staged_cannot_go_live(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    generation = host.stage(one, 1, NEW, key)
    with pytest.raises(StateCorrupt, match="generation 7"):
        host.activate(one, replace(generation, n=7))
    with pytest.raises(StateCorrupt, match="other files than were staged"):
        host.activate(one, replace(generation, files={}))
    assert list(etc.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- one file


def test_one_file_is_a_copy_and_goes_back(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    path = etc / "all.pem"
    path.write_bytes(b"at first")
    path.chmod(0o640)
    generation = deploy(host, one, 1, NEW, key)
    assert not path.is_symlink()
    assert mode(path) == 0o640
    deploy(host, one, 2, NEWER, key)
    host.activate(one, generation)
    assert host.live(one) == generation.files
    host.activate(one, host.generation(one, 0))
    assert path.read_bytes() == b"at first"
    assert mode(path) == 0o640
    assert [p.name for p in etc.iterdir()] == ["all.pem"]


def test_one_file_that_was_not_there_goes_again(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    deploy(host, one, 1, NEW, key)
    first = host.generation(one, 0)
    assert (first.leaf_sha256, first.files) == ("", {})
    host.activate(one, first)
    assert list(etc.iterdir()) == []
    assert host.live(one) == {}


def test_another_s_file_is_kept_when_it_is_replaced_and_left_when_nothing_replaces_it(
    host: LocalHost, one: Deployment, key: KeyFact, etc: Path, tmp_path: Path
) -> None:
    generation = deploy(host, one, 1, NEW, key)
    (etc / "all.pem").write_bytes(b"somebody else's")
    host.activate(one, host.generation(one, 0))
    assert (etc / "all.pem").read_bytes() == b"somebody else's"
    host.activate(one, generation)
    assert host.live(one) == generation.files
    kept = [p for p in (tmp_path / "state").rglob("found/*") if p.read_bytes() == b"somebody else's"]
    assert [mode(p) for p in kept] == [0o600]
    assert mode(kept[0].parent) == 0o700


@pytest.mark.parametrize("which", ["one", "several"])
def test_what_is_live_already_is_not_written_again(
    host: LocalHost, key: KeyFact, which: str, request: pytest.FixtureRequest
) -> None:
    deployment: Deployment = request.getfixturevalue(which)
    generation = deploy(host, deployment, 1, NEW, key)
    before = identity(deployment)
    host.activate(deployment, generation)
    assert identity(deployment) == before


def test_a_mode_that_was_changed_by_hand_is_put_right(host: LocalHost, one: Deployment, key: KeyFact) -> None:
    generation = deploy(host, one, 1, NEW, key)
    Path(one.files[0].path).chmod(0o640)
    host.activate(one, generation)
    assert mode(one.files[0].path) == 0o600


# ------------------------------------------------------------------------------------------------------ several files


def test_several_files_are_links_that_flip_together_and_go_back(
    host: LocalHost, several: Deployment, key: KeyFact, etc: Path, tmp_path: Path
) -> None:
    (etc / "full.pem").write_text(pki.chain_pem(OLD))
    (etc / "full.pem").chmod(0o604)
    at_first = contents(several)
    one = deploy(host, several, 1, NEW, key)
    links = {f.path: str(Path(f.path).readlink()) for f in several.files}
    assert all(link.startswith(str(tmp_path / "state" / "live")) and "/current/" in link for link in links.values())
    assert host.live(several) == one.files
    two = deploy(host, several, 2, NEWER, key)
    assert {f.path: str(Path(f.path).readlink()) for f in several.files} == links
    assert host.live(several) == two.files
    host.activate(several, one)
    assert host.live(several) == one.files
    host.activate(several, host.generation(several, 0))
    assert contents(several) == at_first
    assert mode(etc / "full.pem") == 0o604
    assert not os.path.lexists(etc / "chain.pem")
    host.activate(several, two)
    assert host.live(several) == two.files


def test_services_can_pass_through_the_folders_and_list_none(
    host: LocalHost, several: Deployment, key: KeyFact, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        deploy(host, several, 1, NEW, key)
    finally:
        os.umask(before)
    state = tmp_path / "state"
    folders = [state, state / "live", *(p for p in (state / "live").rglob("*") if p.is_dir() and not p.is_symlink())]
    assert {mode(folder) for folder in folders} == {0o711}
    assert {Path(f.path).name: mode(f.path) for f in several.files} == {
        "full.pem": 0o644,
        "chain.pem": 0o644,
        "live.key": 0o640,
    }


def test_copies_need_no_open_folders(host: LocalHost, one: Deployment, key: KeyFact, tmp_path: Path) -> None:
    deploy(host, one, 1, NEW, key)
    live = tmp_path / "state" / "live"
    assert {mode(p) for p in live.rglob("*") if p.is_dir()} == {0o700}


def test_two_files_of_one_base_name_do_not_meet(host: LocalHost, etc: Path, key: KeyFact) -> None:
    for name in ("postfix", "dovecot"):
        (etc / name).mkdir()
    files = (
        FileSpec(str(etc / "postfix" / "tls.pem"), ("cert",)),
        FileSpec(str(etc / "dovecot" / "tls.pem"), ("chain",)),
    )
    deployment = Deployment("example", files, ())
    deploy(host, deployment, 1, NEW, key)
    assert (etc / "postfix" / "tls.pem").read_text() == pki.cert_pem(NEW.leaf_der)
    assert (etc / "dovecot" / "tls.pem").read_text() == pki.cert_pem(NEW.certificates_der[1])


def test_a_file_that_took_a_link_s_place_is_kept_and_never_shows_an_older_generation(
    host: LocalHost, several: Deployment, key: KeyFact, etc: Path, tmp_path: Path
) -> None:
    deploy(host, several, 1, NEW, key)
    (etc / "full.pem").unlink()
    (etc / "full.pem").write_bytes(b"another tool's")
    two = deploy(host, several, 2, NEWER, key)
    assert host.live(several) == two.files
    assert (etc / "full.pem").is_symlink()
    assert [p.read_bytes() for p in (tmp_path / "state").rglob("found/*")] == [b"another tool's"]


# ------------------------------------------------------------------------------------------------------------- owners


@as_root
@pytest.mark.parametrize("which", ["one", "several"])
def test_owner_group_and_mode_are_as_asked(
    host: LocalHost, key: KeyFact, which: str, request: pytest.FixtureRequest
) -> None:
    deployment: Deployment = request.getfixturevalue(which)
    asked = tuple(replace(f, owner=str(DAEMON), group=str(DAEMON + 1), mode=0o440) for f in deployment.files)
    deployment = replace(deployment, files=asked)
    deploy(host, deployment, 1, NEW, key)
    for f in deployment.files:
        found = Path(f.path).stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (DAEMON, DAEMON + 1, 0o440)


@as_root
def test_without_being_asked_they_stay_as_they_stand(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    path = etc / "all.pem"
    path.write_bytes(b"at first")
    path.chmod(0o460)
    os.chown(path, DAEMON, DAEMON + 1)
    deploy(host, one, 1, NEW, key)
    host.activate(one, host.generation(one, 0))
    deploy(host, one, 2, NEWER, key)
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (DAEMON, DAEMON + 1, 0o460)


@as_root
def test_names_of_users_are_looked_up(host: LocalHost, one: Deployment, key: KeyFact) -> None:
    named = replace(one, files=(replace(one.files[0], owner="root", group="daemon"),))
    deploy(host, named, 1, NEW, key)
    assert Path(one.files[0].path).owner() == "root"
    assert Path(one.files[0].path).group() == "daemon"


def test_a_key_never_becomes_the_world_s(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    (etc / "all.pem").write_text(pki.cert_pem(OLD.leaf_der))  # a certificate that everybody may read stands there
    (etc / "all.pem").chmod(0o644)
    deploy(host, one, 1, NEW, key)
    assert mode(etc / "all.pem") == 0o640


# ----------------------------------------------------------------------------------------------------------- refusals


def problems_of(host: LocalHost, deployment: Deployment, key: KeyFact) -> str:
    """Return what `writable` says; it must change nothing, and `stage` with `activate` must refuse too."""
    parent = Path(deployment.files[0].path).parent
    before = tree(parent) if parent.is_dir() else {}
    problems = host.writable(deployment)
    assert problems
    with pytest.raises((Refused, DanelawError)):
        deploy(host, deployment, 1, NEW, key)
    assert (tree(parent) if parent.is_dir() else {}) == before
    return "\n".join(problems)


@pytest.mark.parametrize("which", ["one", "several"])
def test_a_deployment_that_can_be_written_has_no_problems(
    host: LocalHost, key: KeyFact, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    deployment: Deployment = request.getfixturevalue(which)
    before = tree(tmp_path)
    assert list(host.writable(deployment)) == []
    assert tree(tmp_path) == before
    deploy(host, deployment, 1, NEW, key)
    assert list(host.writable(deployment)) == []


@pytest.mark.parametrize("which", ["one", "several"])
def test_a_folder_or_another_tool_s_link_at_the_path(
    host: LocalHost, key: KeyFact, which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    deployment: Deployment = request.getfixturevalue(which)
    path = Path(deployment.files[0].path)
    path.mkdir()
    assert "is a folder; expected a file" in problems_of(host, deployment, key)
    path.rmdir()
    theirs = tmp_path / "letsencrypt.pem"
    theirs.write_bytes(b"theirs")
    path.symlink_to(theirs)
    assert f"is a link to {theirs}, another tool's" in problems_of(host, deployment, key)
    assert theirs.read_bytes() == b"theirs"


def test_a_link_of_another_deployment_is_not_ours(host: LocalHost, several: Deployment, key: KeyFact) -> None:
    deploy(host, several, 1, NEW, key)
    for count in (1, 2):
        words = problems_of(host, replace(several, files=several.files[:count]), key)
        assert "is danelaw's own link into " in words
        assert "of a deployment with other files; put back the files of that deployment" in words
        assert "remove" not in words


def test_a_link_into_another_state_folder_is_danelaw_s_own(
    host: LocalHost, several: Deployment, key: KeyFact, tmp_path: Path
) -> None:
    deploy(host, several, 1, NEW, key)
    live = host.live(several)
    other = LocalHost(str(tmp_path / "srv"), "h", StandingClock())
    other.take_key(replace(SPEC, key=str(tmp_path / "live.key")))
    words = "\n".join(other.writable(several))
    assert (
        words.count(f"is danelaw's own link into another state folder, {tmp_path}/state; set state_dir back to it") == 3
    )
    assert "another tool's" not in words
    with pytest.raises(Refused, match="another state folder"):
        deploy(other, several, 1, NEWER, key)
    assert host.live(several) == live
    (tmp_path / "state").rename(tmp_path / "gone")
    (tmp_path / "srv").rename(tmp_path / "unused")
    assert "another state folder" in "\n".join(other.writable(several))  # the links lead nowhere


def test_a_state_folder_that_was_moved_is_followed_where_a_link_stands_at_its_old_place(
    host: LocalHost, several: Deployment, key: KeyFact, tmp_path: Path
) -> None:
    deploy(host, several, 1, NEW, key)
    live = host.live(several)
    (tmp_path / "state").rename(tmp_path / "srv")
    (tmp_path / "state").symlink_to(tmp_path / "srv")
    moved = LocalHost(str(tmp_path / "srv"), "h", StandingClock())
    assert list(moved.writable(several)) == []
    moved.activate(several, moved.generation(several, 1))
    assert moved.live(several) == live
    (tmp_path / "state").unlink()  # no path leads through the old place any more
    assert moved.live(several) == live


def test_a_missing_folder_and_a_file_in_its_place(
    host: LocalHost, one: Deployment, several: Deployment, key: KeyFact, etc: Path
) -> None:
    (etc / "private").rmdir()
    assert f"{etc}/private is missing; create the folder" in problems_of(host, several, key)
    (etc / "private").write_text("x")
    assert "is no folder" in problems_of(host, several, key)
    assert list(host.writable(one)) == []


def test_an_unknown_owner_and_group(host: LocalHost, one: Deployment, key: KeyFact) -> None:
    wrong = replace(one, files=(replace(one.files[0], owner="no-such-user", group="no-such-group"),))
    words = problems_of(host, wrong, key)
    assert "this host has no user no-such-user" in words
    assert "this host has no group no-such-group" in words


def test_a_key_for_the_whole_world(host: LocalHost, one: Deployment, key: KeyFact) -> None:
    wrong = replace(one, files=(replace(one.files[0], mode=0o644),))
    assert "mode 0644 gives a key to the whole world" in problems_of(host, wrong, key)


def test_a_key_that_stands_there_open_to_the_world(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    (etc / "all.pem").write_bytes(Path(key.path).read_bytes())
    (etc / "all.pem").chmod(0o644)
    assert "the whole world can read (mode 0644); chmod o-r it" in problems_of(host, one, key)


def test_the_state_folder_itself(host: LocalHost, key: KeyFact, tmp_path: Path) -> None:
    inside = Deployment("example", (FileSpec(str(tmp_path / "state" / "keys" / "x.pem"), ("cert",)),), ())
    assert "inside state_dir" in problems_of(host, inside, key)


def test_a_read_only_file_system_is_seen_through_root_s_eyes(host: LocalHost, key: KeyFact) -> None:
    deployment = Deployment("example", (FileSpec("/proc/sys/kernel/cert.pem", ("cert",)),), ())
    read_only = next(
        (
            fields[1]
            for fields in (line.split() for line in Path("/proc/mounts").read_text().splitlines())
            if "ro" in fields[3].split(",") and Path(fields[1]).is_dir()
        ),
        None,
    )
    if read_only is None:
        assert list(host.writable(deployment)) == []  # nothing here is mounted read-only; root may write anywhere
        return
    deployment = Deployment("example", (FileSpec(f"{read_only}/cert.pem", ("cert",)),), ())
    assert "mounted read-only" in problems_of(host, deployment, key)


@as_root
@pytest.mark.parametrize("attribute", ["i", "a"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_an_attribute_that_stops_even_root(
    host: LocalHost, one: Deployment, key: KeyFact, etc: Path, attribute: str, what: str
) -> None:
    (etc / "all.pem").touch(mode=0o600)
    fixed = etc / "all.pem" if what == "file" else etc
    subprocess.run(["chattr", f"+{attribute}", str(fixed)], check=True)
    try:
        assert f"{fixed} has the attribute {attribute}; chattr -ia it" in problems_of(host, one, key)
    finally:
        subprocess.run(["chattr", f"-{attribute}", str(fixed)], check=True)
    assert list(host.writable(one)) == []


@as_root
def test_a_file_that_is_mounted_by_itself(host: LocalHost, one: Deployment, key: KeyFact, etc: Path) -> None:
    folder = etc / "with space"
    folder.mkdir()
    (folder / "all.pem").touch(mode=0o600)
    deployment = replace(one, files=(replace(one.files[0], path=str(folder / "all.pem")),))
    assert list(host.writable(deployment)) == []
    subprocess.run(["mount", "--bind", str(folder / "all.pem"), str(folder / "all.pem")], check=True)
    try:
        assert "is mounted by itself" in problems_of(host, deployment, key)
    finally:
        subprocess.run(["umount", str(folder / "all.pem")], check=True)


def test_live_tells_what_cannot_be_read_apart_from_what_is_absent(host: LocalHost, several: Deployment) -> None:
    assert host.live(several) == {}
    Path(several.files[0].path).mkdir()
    assert host.live(several) == {several.files[0].path: ""}


# --------------------------------------------------------------------------------------------------------- letting go


def test_what_is_let_go_are_ordinary_files_with_what_was_live_and_its_mode(
    host: LocalHost, several: Deployment, key: KeyFact, etc: Path, tmp_path: Path
) -> None:
    deploy(host, several, 1, OLD, key)
    deploy(host, several, 2, NEW, key)
    before, modes = contents(several), {f.path: mode(f.path) for f in several.files}
    host.let_go(several)
    assert contents(several) == before
    assert {f.path: mode(f.path) for f in several.files} == modes
    assert modes[str(etc / "private" / "live.key")] == 0o640
    assert not any(Path(f.path).is_symlink() for f in several.files)
    (tmp_path / "state").rename(tmp_path / "away")  # nothing of ours is needed any more
    assert contents(several) == before
    (tmp_path / "away").rename(tmp_path / "state")
    at_first = identity(several)
    host.let_go(several)
    assert identity(several) == at_first
    deploy(host, several, 3, NEWER, key)  # and it may come back
    assert all(Path(f.path).is_symlink() for f in several.files)


def test_somebody_else_s_file_or_link_is_not_ours_to_let_go(
    host: LocalHost, several: Deployment, one: Deployment, key: KeyFact, etc: Path
) -> None:
    deploy(host, several, 1, NEW, key)
    theirs = etc / "theirs.pem"
    theirs.write_text("theirs")
    (etc / "full.pem").unlink()
    (etc / "full.pem").symlink_to(theirs)
    (etc / "chain.pem").unlink()
    host.let_go(several)
    assert (etc / "full.pem").readlink() == theirs
    assert not os.path.lexists(etc / "chain.pem")
    deploy(host, one, 1, NEW, key)  # a copy already
    before = identity(one)
    host.let_go(one)
    assert identity(one) == before
