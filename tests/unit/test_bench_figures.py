"""The bench's own arithmetic, and what it writes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.measure import Bench, Command, Figure, Runs, Spread, spread
from bench.report import BEGIN, END, Aim, Row, aims_table, circumstances, ms, processor, put_between, ratio, table

PAGE = Path(__file__).parents[2] / "docs" / "bench.md"


def runs(*walls: float, cpu: float = 0.001, mib: float = 8) -> Runs:
    return Runs([Figure(wall, cpu, mib) for wall in walls])


def test_a_spread_is_the_median_the_lowest_and_the_highest() -> None:
    assert spread([3, 1, 2]) == Spread(2, 1, 3)
    assert spread([4, 1, 2, 3]) == Spread(2.5, 1, 4)
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_a_ratio_is_of_each_turn_so_that_a_slow_moment_counts_for_both() -> None:
    ours, theirs = runs(1, 10, 3), runs(1, 5, 1)  # the machine was slow in the second turn
    assert ours.times(theirs) == Spread(2, 1, 3)
    assert runs(1, 1).times(runs(2, 4)) == Spread(0.375, 0.25, 0.5)
    with pytest.raises(ValueError, match="shorter"):
        ours.times(runs(1, 2))


def test_memory_is_the_highest_peak() -> None:
    assert Runs([Figure(1, 1, 8), Figure(1, 3, 12), Figure(1, 2, 9)]).mib == 12
    assert Runs([Figure(1, 1, 8), Figure(1, 3, 12), Figure(1, 2, 9)]).cpu == 2


@pytest.mark.parametrize(
    ("aim", "met"),
    [
        (Aim("x", Spread(1.2, 1, 2), most=1.2), True),
        (Aim("x", Spread(1.21, 1, 2), most=1.2), False),
        (Aim("x", Spread(20, 10, 30), least=20), True),
        (Aim("x", Spread(19.9, 10, 30), least=20), False),
    ],
)
def test_the_median_meets_an_aim_or_misses_it(aim: Aim, *, met: bool) -> None:
    assert aim.met is met
    assert aims_table([aim])[-1].endswith("| met |" if met else "| missed |")


def test_the_table_has_a_line_for_each_command() -> None:
    bare = runs(0.01, 0.02)
    lines = table([Row("bare", bare, bare), Row("ours", runs(0.02, 0.03, cpu=0.5, mib=11.26), bare, runs(2, 3))])
    assert lines[2:] == [
        "| bare | 2 | 15.0 (10.0 to 20.0) | 1.0 | 8.0 | 1.00 (1.00 to 1.00) |  |",
        "| ours | 2 | 25.0 (20.0 to 30.0) | 500 | 11.3 | 1.75 (1.50 to 2.00) | 100.0 (100.0 to 100.0) |",
    ]
    assert {line.count("|") for line in lines} == {8}


def test_numbers_have_as_many_figures_as_they_are_good_for() -> None:
    assert [ratio(value) for value in (0.456, 9.994, 12.34)] == ["0.46", "9.99", "12.3"]
    assert [ms(value) for value in (0.0123, 0.1234, 12.3456)] == ["12.3", "123", "12,346"]


def test_the_circumstances_are_told(tmp_path: Path) -> None:
    said = circumstances(datetime(2026, 1, 2, tzinfo=UTC), 0.25, {"certbot": "5"})
    assert "Measured on 2026-01-02: " in said
    assert "certbot 5." in said
    assert "Load before the run: 0.2." in said
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A CPU\n")
    assert processor(tmp_path / "cpuinfo") == "A CPU"
    assert processor(tmp_path / "none")


def test_what_stands_between_the_marks_is_replaced_and_nothing_else() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = put_between(page, ["a", "b"])
    assert new == f"before\n{BEGIN}\n\na\nb\n\n{END}\nafter\n"
    assert put_between(new, ["a", "b"]) == new


@pytest.mark.parametrize("page", ["", f"{BEGIN}\n", f"{END}\n{BEGIN}\n"])
def test_a_page_without_both_marks_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="the page needs the lines"):
        put_between(page, [])


def test_the_page_has_its_marks() -> None:
    page = PAGE.read_text()
    assert put_between(page, ["x"]) != page


def test_commands_take_turns_and_the_first_round_does_not_count(tmp_path: Path) -> None:
    log = tmp_path / "log"
    commands = [Command(name, ["sh", "-c", f"echo {name} >> {log}"]) for name in ("a", "b")]
    heard: list[int] = []
    with Bench() as bench:
        found = bench.in_turns(commands, 2, heard.append)
    assert log.read_text().split() == ["a", "b"] * 3
    assert heard == [0, 1, 2]
    assert {name: len(each.figures) for name, each in found.items()} == {"a": 2, "b": 2}
    assert all(figure.wall > 0 and figure.mib > 0 for each in found.values() for figure in each.figures)


def test_what_is_measured_finds_its_environment_and_none_for_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    check = 'test "$OURS" = yes && test -z "$PYTHONDONTWRITEBYTECODE"'
    with Bench({"OURS": "yes"}) as bench:
        bench.once(Command("environment", ["sh", "-c", check]))


def test_a_command_that_fails_is_no_figure() -> None:
    with Bench() as bench, pytest.raises(RuntimeError, match="broken ended with 3: its words"):
        bench.once(Command("broken", ["sh", "-c", "echo its words; exit 3"]))
