"""Keys that nothing needs any more: archived, or destroyed with every copy that danelaw made; never what is live."""

import base64
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from danelaw.deploy import LocalHost
from danelaw.errors import Refused, StateCorrupt
from danelaw.model import CertificateSpec, Deployment, FileSpec, Http01, KeyFact, ReadyCsr
from local_state import NOW, StandingClock, chain_of, leaf_key, write_leaf_key

SPEC = CertificateSpec("example", ("a.test",), "le", Http01(webroots=("/w",)))
LATER = NOW.replace(year=2030)

How = Literal["archive", "shred"]


class Rolled:
    """A host whose certificate went over from its first key to the next one, in one deployment or another."""

    def __init__(self, folder: Path, *files: FileSpec, before: bytes = b"") -> None:
        self.state = folder / "state"
        self.clock = StandingClock()
        self.host = LocalHost(str(self.state), "h", self.clock)
        self.etc = folder / "etc"
        self.etc.mkdir()
        self.spec = replace(SPEC, key=write_leaf_key(folder / "live.key"))
        self.old = self.host.take_key(self.spec)
        self.new = self.host.take_next_key(SPEC, [self.old])
        self.deployment = Deployment("example", tuple(replace(f, path=str(self.etc / f.path)) for f in files), ())
        for file in self.deployment.files:
            if before:
                Path(file.path).write_bytes(before)
                Path(file.path).chmod(0o600)
        if files:
            self.deploy(1, self.old)
            self.deploy(2, self.old)
            self.deploy(3, self.new)

    def deploy(self, n: int, key: KeyFact) -> None:
        chain = chain_of(f"{n}.test", key.spki_der)
        self.host.activate(self.deployment, self.host.stage(self.deployment, n, chain, key))

    @property
    def folder(self) -> Path:
        (folder,) = (self.state / "live").iterdir()
        return folder

    def generations(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.name.isdecimal())

    def holding_old(self) -> list[Path]:
        """Return the state's files that hold the old key, whatever it is written as."""
        secret = leaf_key().private_numbers().private_value.to_bytes(32)
        return [
            path
            for path in self.state.rglob("*")
            if path.is_file() and not path.is_symlink() and any(secret in found for found in decoded(path.read_bytes()))
        ]


def decoded(content: bytes) -> list[bytes]:
    """Return what the private keys in a file are, in whatever form."""
    return [base64.b64decode(part.partition(b"-----END")[0]) for part in content.split(b"PRIVATE KEY-----")[1::2]]


ONE = (FileSpec("all.pem", ("cert", "key", "chain")),)
THREE = (
    FileSpec("full.pem", ("cert", "chain"), mode=0o644),
    FileSpec("live.key", ("key",), mode=0o640),
    FileSpec("chain.pem", ("chain",)),
)
WITHOUT = (FileSpec("full.pem", ("cert", "chain")),)


# --- archived ---------------------------------------------------------------------------------------------------------


def test_a_key_is_archived_where_only_we_look_and_can_still_sign(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path, *THREE)
    content = Path(rolled.old.path).read_bytes()
    kept = rolled.host.put_away(rolled.old, "archive")
    assert kept == replace(
        rolled.old, path=str(rolled.state / "keys" / "archive" / f"{rolled.old.spki_sha256}.pem"), archived_at=NOW
    )
    path = Path(kept.path)
    assert path.read_bytes() == content
    assert not Path(rolled.old.path).exists()
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)] == [0o600, 0o700]
    assert rolled.host.sign(kept).spki_der == rolled.old.spki_der
    assert rolled.host.sign(rolled.old).spki_der == rolled.old.spki_der
    assert rolled.generations() == ["0", "1", "2", "3"]  # nothing was to be destroyed
    assert rolled.host.csr(rolled.new, SPEC)


def test_archiving_again_changes_nothing(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path)
    kept = rolled.host.put_away(rolled.old, "archive")
    rolled.clock.instant = LATER
    assert rolled.host.put_away(kept, "archive") == kept
    assert rolled.host.put_away(rolled.old, "archive") == replace(kept, archived_at=LATER)  # a fact that was lost
    other = replace(rolled.old, certificate="another with the same key")
    assert rolled.host.put_away(other, "archive").path == kept.path


def test_an_archived_key_that_is_adopted_again_is_there_again(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path)
    kept = rolled.host.put_away(rolled.old, "archive")
    again = rolled.host.take_key(rolled.spec)
    assert again.path == rolled.old.path
    assert (Path(again.path).exists(), Path(kept.path).exists()) == (True, True)
    assert rolled.host.put_away(again, "archive").path == kept.path
    assert not Path(again.path).exists()


@pytest.mark.parametrize("how", ["archive", "shred"])
def test_a_key_that_somebody_else_took_away_is_not_silently_put_away(tmp_path: Path, how: How) -> None:
    rolled = Rolled(tmp_path)
    Path(rolled.old.path).unlink()
    with pytest.raises(StateCorrupt, match=r"the key is gone, .* restore it from a backup, or, .* touch ") as said:
        rolled.host.put_away(rolled.old, how)
    tombstone = Path(str(said.value).rpartition(" touch ")[2])
    tombstone.touch()
    gone = rolled.host.put_away(rolled.old, how)
    assert (gone.destroyed_at, gone.archived_at) == (NOW, None)


@pytest.mark.parametrize("how", ["archive", "shred"])
def test_a_made_key_that_was_put_away_is_not_missed(tmp_path: Path, how: How) -> None:
    host = LocalHost(str(tmp_path / "state"), "h", StandingClock())
    first = host.take_key(SPEC)
    key = host.take_next_key(SPEC, [first])
    host.put_away(first, how)
    assert host.peek_key(SPEC) is None
    assert host.take_next_key(SPEC, [first]) == key
    host.put_away(key, how)
    assert host.take_next_key(SPEC, [first, key]) not in (first, key)


@pytest.mark.parametrize("how", ["archive", "shred"])
def test_of_a_key_that_is_kept_elsewhere_nothing_is_here(tmp_path: Path, how: How) -> None:
    host = LocalHost(str(tmp_path / "state"), "h", StandingClock())
    rolled = Rolled(tmp_path)
    csr = ReadyCsr("/a.csr", rolled.host.csr(rolled.new, SPEC), rolled.new.spki_der)
    host = LocalHost(str(tmp_path / "another"), "h", StandingClock())
    key = host.take_key(replace(SPEC, csr=csr))
    gone = host.put_away(key, how)
    assert gone == replace(key, archived_at=NOW)  # it is not destroyed: nobody could say so here
    assert not (tmp_path / "another").exists()


# --- destroyed --------------------------------------------------------------------------------------------------------


def test_a_key_is_overwritten_before_it_is_removed(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path)
    content = Path(rolled.old.path).read_bytes()
    os.link(rolled.old.path, tmp_path / "the same blocks")
    gone = rolled.host.put_away(rolled.old, "shred")
    assert gone == replace(rolled.old, destroyed_at=NOW)
    assert (tmp_path / "the same blocks").read_bytes() == bytes(len(content))
    assert rolled.holding_old() == []
    with pytest.raises(StateCorrupt, match="the key is gone"):
        rolled.host.sign(gone)
    assert rolled.host.sign(rolled.new)
    rolled.clock.instant = LATER
    assert rolled.host.put_away(gone, "shred") == gone
    assert rolled.host.put_away(rolled.old, "shred").destroyed_at == LATER  # a fact that was lost
    assert rolled.host.put_away(rolled.old, "archive").destroyed_at == LATER  # and the config changed since


def test_an_archived_key_may_be_destroyed_later(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path, *ONE)
    kept = rolled.host.put_away(rolled.old, "archive")
    rolled.host.put_away(kept, "shred")
    assert rolled.holding_old() == []


@pytest.mark.parametrize("files", [ONE, THREE], ids=["copy", "links"])
def test_earlier_generations_over_it_go_whole_and_what_is_live_stays(
    tmp_path: Path, files: tuple[FileSpec, ...]
) -> None:
    traditional = leaf_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    rolled = Rolled(tmp_path, *files, before=b"# what stood here before\r\n" + traditional.replace(b"\n", b"\r\n"))
    live = {file.path: Path(file.path).read_bytes() for file in rolled.deployment.files}
    stood = [os.open(path, os.O_RDONLY) for path in rolled.holding_old()]
    assert len(stood) == (4 if files == ONE else 6)  # its own, generation 0 (each path held it), 1 and 2
    rolled.host.put_away(rolled.old, "shred")
    assert [os.read(descriptor, 1 << 16).strip(b"\0") for descriptor in stood] == [b""] * len(stood)
    for descriptor in stood:
        os.close(descriptor)
    assert rolled.holding_old() == []
    assert rolled.generations() == ["3"]
    assert {file.path: Path(file.path).read_bytes() for file in rolled.deployment.files} == live
    assert rolled.host.live(rolled.deployment) == rolled.host.generation(rolled.deployment, 3).files
    with pytest.raises(StateCorrupt, match=r"generation 2 of .* is gone"):
        rolled.host.generation(rolled.deployment, 2)
    rolled.deploy(4, rolled.new)
    assert rolled.generations() == ["0", "3", "4"]
    assert [path.name for path in rolled.folder.iterdir() if path.name.startswith(".")] == []


def test_generations_without_the_key_stay(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path, *WITHOUT)
    rolled.host.put_away(rolled.old, "shred")
    assert rolled.generations() == ["0", "1", "2", "3"]


def test_what_was_found_at_a_path_goes_where_it_is_the_key_and_stays_where_not(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path, *ONE)
    (file,) = rolled.deployment.files
    for n, content in enumerate((b"somebody's\n" + Path(rolled.old.path).read_bytes(), b"somebody else's"), 4):
        Path(file.path).write_bytes(content)
        Path(file.path).chmod(0o600)
        rolled.deploy(n, rolled.new)
    assert len(list((rolled.folder / "found").iterdir())) == 2
    rolled.host.put_away(rolled.old, "shred")
    assert [path.read_bytes() for path in (rolled.folder / "found").iterdir()] == [b"somebody else's"]
    assert rolled.holding_old() == []


@pytest.mark.parametrize("files", [ONE, THREE], ids=["copy", "links"])
def test_what_services_read_is_never_destroyed(tmp_path: Path, files: tuple[FileSpec, ...]) -> None:
    """Whatever the facts say: a deployment that left the config may still be read."""
    rolled = Rolled(tmp_path, *files)
    rolled.host.activate(rolled.deployment, rolled.host.generation(rolled.deployment, 2))
    before = {path: path.read_bytes() for path in rolled.state.rglob("*") if path.is_file()}
    with pytest.raises(Refused, match=r"services still read the key [0-9a-f]{16}… there, so it is not destroyed") as no:
        rolled.host.put_away(rolled.old, "shred")
    assert all(file.path in str(no.value) for file in rolled.deployment.files)
    assert {path: path.read_bytes() for path in rolled.state.rglob("*") if path.is_file()} == before
    rolled.host.activate(rolled.deployment, rolled.host.generation(rolled.deployment, 3))
    assert rolled.host.put_away(rolled.old, "shred").destroyed_at == NOW


def test_a_link_deployment_of_an_earlier_danelaw_is_known_by_its_link(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path, *THREE)
    (rolled.folder / "paths.json").unlink()
    rolled.host.activate(rolled.deployment, rolled.host.generation(rolled.deployment, 1))
    with pytest.raises(Refused, match=r"what leads to .*/current: services still read the key"):
        rolled.host.put_away(rolled.old, "shred")
    for content in (b"no JSON", b"{}", b"[1]"):
        (rolled.folder / "paths.json").write_bytes(content)
        with pytest.raises(Refused, match=r"what leads to .*/current: services still read the key"):
            rolled.host.put_away(rolled.old, "shred")


def test_no_word_of_the_key_is_in_what_is_said(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path, *ONE)
    secret = Path(rolled.old.path).read_text().splitlines()[1:-1]
    rolled.host.activate(rolled.deployment, rolled.host.generation(rolled.deployment, 2))
    with pytest.raises(Refused) as refused:
        rolled.host.put_away(rolled.old, "shred")
    shown = f"{refused.value!r} {rolled.host.sign(rolled.old)!r} {rolled.old!r}"
    assert not any(line in shown for line in secret)


def test_the_csr_over_an_archived_key_is_its_own(tmp_path: Path) -> None:
    rolled = Rolled(tmp_path)
    kept = rolled.host.put_away(rolled.old, "archive")
    csr = x509.load_der_x509_csr(rolled.host.csr(kept, SPEC))
    assert csr.public_key() == leaf_key().public_key()
