"""``plan --html`` and ``status --html``: where the page is, and what is refused."""

from pathlib import Path

import pytest

from danelaw.cli import run_command_line


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A config that manages nothing."""
    path = tmp_path / "danelaw.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\n')
    return str(path)


def test_a_page_is_written_beside_what_is_printed(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert run_command_line(["--config", config, "status", "--html", str(page)]) == 0
    assert capsys.readouterr().err == f"danelaw: the page is {page}\n"
    assert "Nothing is managed" in page.read_text()
    page.unlink()
    assert run_command_line(["--config", config, "-q", "--json", "status", "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert (out[0], err) == ("{", "")
    assert page.exists()
    page.unlink()
    assert run_command_line(["--config", config, "status"]) == 0
    assert list(tmp_path.glob("*.html")) == []


@pytest.mark.parametrize("command", ["plan", "status"])
def test_a_page_without_a_name_is_refused_before_anything_is_looked_at(
    command: str, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["--config", config, command, "--html", ""]) == 2
    assert capsys.readouterr() == ("", "danelaw: --html: is empty\n")


def test_a_page_that_cannot_be_written_is_said_in_one_line(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["--config", config, "status", "--html", str(tmp_path / "none" / "page.html")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be written (No such file or directory)" in error
