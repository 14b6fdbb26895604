"""Answers below a webroot: readable by the web server, nothing else touched, nothing left."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from danelaw.acme import WebrootSolver
from danelaw.errors import Refused

NAME, TOKEN, ANSWER = "example.test", "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", "token.thumbprint"


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
def test_an_answer_is_there_for_everybody_and_gone_afterwards(tmp_path: Path) -> None:
    solver = WebrootSolver(str(tmp_path))
    solver.present(NAME, TOKEN, ANSWER)
    folder = tmp_path / ".well-known" / "acme-challenge"
    assert (folder / TOKEN).read_text() == ANSWER
    assert [path.name for path in folder.iterdir()] == [TOKEN]
    assert stat.S_IMODE((folder / TOKEN).stat().st_mode) == 0o644
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o755
    solver.clean_up(NAME, TOKEN)
    assert list(tmp_path.iterdir()) == []
    solver.clean_up(NAME, TOKEN)


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / ".well-known").mkdir(mode=0o750)
    solver = WebrootSolver(str(tmp_path))
    solver.present(NAME, TOKEN, ANSWER)
    solver.clean_up(NAME, TOKEN)
    assert list((tmp_path / ".well-known").iterdir()) == []
    assert stat.S_IMODE((tmp_path / ".well-known").stat().st_mode) == 0o750


def test_folders_stay_while_something_is_in_them(tmp_path: Path) -> None:
    solver = WebrootSolver(str(tmp_path))
    solver.present(NAME, TOKEN, ANSWER)
    solver.present("www.example.test", "other", ANSWER)
    (tmp_path / ".well-known" / "security.txt").write_text("theirs")
    solver.clean_up(NAME, TOKEN)
    assert (tmp_path / ".well-known" / "acme-challenge" / "other").exists()
    solver.clean_up("www.example.test", "other")
    assert [path.name for path in (tmp_path / ".well-known").iterdir()] == ["security.txt"]


def test_an_answer_is_below_every_webroot_and_gone_from_all(tmp_path: Path) -> None:
    webroots = [tmp_path / name for name in ("html", "blog")]
    for webroot in webroots:
        webroot.mkdir()
    solver = WebrootSolver(*map(str, webroots))
    solver.present(NAME, TOKEN, ANSWER)
    for webroot in webroots:
        assert (webroot / ".well-known" / "acme-challenge" / TOKEN).read_text() == ANSWER
    solver.clean_up(NAME, TOKEN)
    assert [list(webroot.iterdir()) for webroot in webroots] == [[], []]


def test_one_webroot_that_is_gone_is_named_and_the_others_are_cleaned_up(tmp_path: Path) -> None:
    (tmp_path / "html").mkdir()
    solver = WebrootSolver(str(tmp_path / "html"), str(tmp_path / "gone"))
    with pytest.raises(Refused, match=r"gone: no such folder; correct http01\.webroot"):
        solver.present(NAME, TOKEN, ANSWER)
    solver.clean_up(NAME, TOKEN)
    assert list((tmp_path / "html").iterdir()) == []


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    WebrootSolver(str(tmp_path)).present(NAME, TOKEN, "old")
    solver = WebrootSolver(str(tmp_path))
    solver.present(NAME, TOKEN, ANSWER)
    assert (tmp_path / ".well-known" / "acme-challenge" / TOKEN).read_text() == ANSWER


@pytest.mark.parametrize("token", ["../../x", "/etc/cron.d/x", "..", ".", "", "a.b", "x\n", "x" * 300])
def test_a_token_that_is_a_path_writes_and_removes_nothing(tmp_path: Path, token: str) -> None:
    solver = WebrootSolver(str(tmp_path / "www"))
    (tmp_path / "www").mkdir()
    with pytest.raises(Refused, match="not base64url"):
        solver.present(NAME, token, ANSWER)
    with pytest.raises(Refused, match="not base64url"):
        solver.clean_up(NAME, token)
    assert [path.name for path in tmp_path.rglob("*")] == ["www"]


def test_a_link_at_the_answers_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / TOKEN).symlink_to(victim)
    WebrootSolver(str(tmp_path)).present(NAME, TOKEN, ANSWER)
    assert victim.read_text() == "precious"
    assert not (folder / TOKEN).is_symlink()


def test_a_webroot_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"gone: no such folder; correct http01\.webroot"):
        WebrootSolver(str(tmp_path / "gone")).present(NAME, TOKEN, ANSWER)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / ".well-known").write_text("a file")
    solver = WebrootSolver(str(tmp_path))
    with pytest.raises(Refused, match=rf"{NAME}: the answer to its challenge cannot be written to .*: Not a directory"):
        solver.present(NAME, TOKEN, ANSWER)
    solver.clean_up(NAME, TOKEN)
    assert (tmp_path / ".well-known").read_text() == "a file"
