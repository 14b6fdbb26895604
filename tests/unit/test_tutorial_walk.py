"""The walker of tutorials sees what a page says, and notices what is otherwise."""

from pathlib import Path

import pytest

from demo.walk import Astray, matches, run, steps

PAGE = """\
# Top

Words.

```console
$ echo one
one
$ cat > file <<'EOF'
$ not a command
EOF
$ false  # exit status 1
```

## Then

```toml
[table]
```

```console
$ printf 'a\\nb\\nc\\n' \\
    | tail -n 2
b
c
```
"""


def walk(page: str, folder: Path) -> None:
    for step in steps(page):
        run(step, {"PATH": "/usr/bin:/bin"}, folder)


def test_commands_are_seen_with_their_output_and_status() -> None:
    found = list(steps(PAGE))
    assert [step.command for step in found] == [
        "echo one",
        "cat > file <<'EOF'\n$ not a command\nEOF\n",
        "false",
        "printf 'a\\nb\\nc\\n' \\\n    | tail -n 2",
    ]
    assert [step.status for step in found] == [0, 0, 1, 0]
    assert [step.shown for step in found] == [("one",), (), (), ("b", "c")]
    assert [step.heading for step in found] == ["Top", "Top", "Top", "Then"]
    assert PAGE.splitlines()[found[3].line - 1].startswith("$ printf")


def test_a_page_that_tells_the_truth_is_walked(tmp_path: Path) -> None:
    walk(PAGE, tmp_path)
    assert (tmp_path / "file").read_text() == "$ not a command\n"


@pytest.mark.parametrize(
    "page",
    [PAGE.replace("\none\n", "\ntwo\n"), PAGE.replace("\none\n", "\n"), PAGE.replace("  # exit status 1", "")],
)
def test_a_page_that_does_not_is_astray(tmp_path: Path, page: str) -> None:
    with pytest.raises(Astray):
        walk(page, tmp_path)


def test_output_before_any_command_is_a_fault_of_the_page() -> None:
    with pytest.raises(Astray, match="line 2"):
        list(steps("```console\nhello\n```\n"))


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("valid until …", "valid until 2027-01-01"),
        ("…\nb\n…", "a\nb\nc\nd"),
        ("a\n…", "a"),
        ("… a …", "x a y"),
        ("a.c", "a.c"),
        ("a IN TLSA", "a\tIN   TLSA"),
    ],
)
def test_an_ellipsis_stands_for_anything(shown: str, printed: str) -> None:
    assert matches(shown.splitlines(), printed.splitlines())


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("valid …", "invalid until"), ("…\nb", "a\nb\nc"), ("a\n…\nb", "a\nc"), ("a.c", "abc"), ("a", ""), ("", "a")],
)
def test_what_is_shown_must_be_there(shown: str, printed: str) -> None:
    assert not matches(shown.splitlines(), printed.splitlines())
