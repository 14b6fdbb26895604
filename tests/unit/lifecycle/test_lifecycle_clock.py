"""A clock that was set is noticed, an honest one never is; what a clock that was ahead stored is put in its place."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from danelaw.lifecycle.clock import ahead_by, levelled, moved, moves, stepped
from danelaw.model import (
    ChainFact,
    ClockSeen,
    ClockStepped,
    Effect,
    Facts,
    Generation,
    OwnRecord,
    RRsetSeen,
    TlsaRecord,
)
from fakes.facts import DAY, HOUR, MINUTE, OWNER, SECOND, START, Dns, Story, certificate, of_key

US = timedelta(microseconds=1)
SEEN = ClockSeen("h", "boot-1", 1000.0, START)


def after(passed: timedelta, counted: timedelta | None = None, boot_id: str = "boot-1") -> ClockStepped | None:
    """Compare after the wall clock went by ``passed``, the boot clock by ``counted``, as far without."""
    seconds = (passed if counted is None else counted).total_seconds()
    boot = (boot_id, SEEN.boot_seconds + seconds if boot_id == SEEN.boot_id else seconds)
    return stepped(SEEN, START + passed, boot)


# ------------------------------------------------------------------------------------------------------------ stepped


@pytest.mark.parametrize(
    ("passed", "counted"),
    [
        (timedelta(0), timedelta(0)),
        (HOUR, HOUR),
        (30 * DAY, 30 * DAY),  # suspended for most of it: the boot clock counts that
        (DAY, DAY + 0.0005 * DAY),  # NTP slews by 500 ppm
        (DAY, DAY - 0.0005 * DAY),
        (HOUR, HOUR + SECOND),  # a leap second
        (-SECOND, timedelta(0)),
    ],
)
def test_an_honest_clock_made_no_step(passed: timedelta, counted: timedelta) -> None:
    assert after(passed, counted) is None


@pytest.mark.parametrize(
    ("passed", "counted", "seconds"),
    [
        (HOUR, MINUTE, 3540.0),
        (3 * SECOND, timedelta(0), 3.0),
        (-3 * SECOND, timedelta(0), -3.0),
        (timedelta(0), HOUR, -3600.0),
        (10 * DAY, DAY, 9 * 86400.0),
        (DAY + 90 * SECOND, DAY, 90.0),
        (DAY - 90 * SECOND, DAY, -90.0),
    ],
)
def test_a_clock_that_was_set_made_one(passed: timedelta, counted: timedelta, seconds: float) -> None:
    assert after(passed, counted) == ClockStepped(START + passed, "boot-1", seconds)


@pytest.mark.parametrize(
    ("passed", "up", "seconds"),
    [
        (5 * MINUTE, 3 * MINUTE, None),  # a reboot
        (59 * MINUTE, timedelta(0), None),
        (100 * DAY, 100 * DAY, None),  # nobody looked since the boot
        (timedelta(0), MINUTE, None),
        (-US, MINUTE, -0.000001),  # no machine boots before it went down
        (-DAY, MINUTE, -86400.0),
        (61 * MINUTE, timedelta(0), 3660.0),  # switched off for an hour, or set forward: who knows
        (10 * DAY, DAY, 9 * 86400.0),
    ],
)
def test_after_a_boot_the_clock_has_gone_no_further_than_that_explains(
    passed: timedelta, up: timedelta, seconds: float | None
) -> None:
    found = after(passed, up, "boot-2")
    assert found == (None if seconds is None else ClockStepped(START + passed, "boot-2", seconds))


def test_a_boot_clock_that_went_back_is_another_boots() -> None:
    """A machine put back to a snapshot goes on with the boot id and the boot clock of then."""
    assert stepped(SEEN, START + MINUTE, ("boot-1", 10.0)) is None
    assert stepped(SEEN, START - MINUTE, ("boot-1", 940.0)) == ClockStepped(START - MINUTE, "boot-1", -60.0)
    assert stepped(SEEN, START + DAY, ("boot-1", 10.0)) == ClockStepped(START + DAY, "boot-1", 86390.0)


@pytest.mark.parametrize("boot_seconds", [0.0, -1.0, 1e300, -1e300, float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("known", [1000.0, 1e300, float("inf"), float("nan")])
@pytest.mark.parametrize("now", [datetime.min.replace(tzinfo=UTC), START, datetime.max.replace(tzinfo=UTC)])
@pytest.mark.parametrize("boot_id", ["boot-1", "boot-2"])
def test_absurd_clocks_raise_nothing(boot_seconds: float, known: float, now: datetime, boot_id: str) -> None:
    found = stepped(replace(SEEN, boot_seconds=known), now, (boot_id, boot_seconds))
    if found is not None:
        assert timedelta(seconds=found.seconds) < timedelta.max


# ----------------------------------------------------------------------------------------------------------- levelled


def sight(server: str, first_at: datetime, last_at: datetime) -> RRsetSeen:
    return RRsetSeen(OWNER, server, "NOERROR", (), 60, 60, 0, START + 90 * DAY, first_at, last_at)


def test_nothing_moves_where_nothing_lies_ahead() -> None:
    facts = Facts(rrsets=(sight("a", START - DAY, START),), clocks=(ClockSeen("h", "b", 1.0, START + DAY),))
    assert moves(facts, START) == {}
    assert levelled(facts, START) is facts
    assert levelled(Facts(), START) == Facts()


def test_what_lies_ahead_moves_to_just_before_in_its_order() -> None:
    ahead = START + 10 * DAY
    facts = Facts(
        rrsets=(sight("a", START - DAY, ahead), sight("b", ahead, ahead + HOUR)),
        clock_steps=(ClockStepped(ahead - HOUR, "boot-1", 864000.0),),
    )
    assert levelled(facts, START) == Facts(
        rrsets=(sight("a", START - DAY, START - 2 * US), sight("b", START - 2 * US, START - US)),
        clock_steps=(ClockStepped(START - 3 * US, "boot-1", 864000.0),),
    )


def test_what_it_would_meet_moves_too() -> None:
    """Two sights of which one came first must not become one instant, nor change places."""
    facts = Facts(rrsets=(sight("a", START - 2 * US, START - US), sight("b", START, START + DAY)))
    assert levelled(facts, START).rrsets == (
        sight("a", START - 4 * US, START - 3 * US),
        sight("b", START - 2 * US, START - US),
    )
    apart = Facts(rrsets=(sight("a", START - 9 * US, START - 3 * US), sight("b", START, START + DAY)))
    assert levelled(apart, START).rrsets[0] == apart.rrsets[0]


def test_what_is_to_come_stays() -> None:
    """A certificate's dates and signatures' ends are no instants of ours."""
    chain = certificate("leaf", until=START + 60 * DAY)
    facts = Facts(
        chains=(ChainFact("n", chain, "ca", START + DAY, revoked_at=START + DAY + HOUR),),
        rrsets=(sight("a", START, START + DAY),),
        clocks=(ClockSeen("h", "boot-1", 1.0, START + DAY),),
    )
    level = levelled(facts, START)
    assert level.chains == (ChainFact("n", chain, "ca", START - 2 * US, revoked_at=START - US),)
    assert level.rrsets[0].rrsig_expires == START + 90 * DAY
    assert level.clocks == facts.clocks


@pytest.mark.parametrize(
    ("ended", "retry", "expected"),
    [
        (START + DAY, START + DAY + HOUR, START - US + HOUR),  # an hour from then
        (START + DAY, START + HOUR, START + HOUR),  # it said when, by its own clock
        (START - DAY, START + HOUR, START + HOUR),  # it was told before the clock went wrong
        (START + DAY, None, None),
        (None, None, None),
    ],
)
def test_what_is_to_be_tried_again_keeps_its_distance(
    ended: datetime | None, retry: datetime | None, expected: datetime | None
) -> None:
    effect = Effect(1, "obtain", "n", "{}", START - 2 * DAY, ended, "failed", "", retry)
    assert levelled(Facts(effects=(effect,)), START).effects[0].retry_at == expected


def test_every_instant_that_was_seen_or_done_moves() -> None:
    late, later, record = START + DAY, START + 2 * DAY, TlsaRecord(3, 1, 1, b"x")
    generation = Generation("h", "d", 1, "", {}, late, late, late, late, late)
    own = OwnRecord(OWNER, record, "home", late, later)
    level = levelled(Facts(generations=(generation,), own_records=(own,)), START)
    then = START - 2 * US
    assert level.generations == (Generation("h", "d", 1, "", {}, then, then, then, then, then),)
    assert level.own_records == (OwnRecord(OWNER, record, "home", then, START - US),)


def test_a_row_that_stays_is_the_same_row() -> None:
    row = sight("a", START, START)
    assert moved(row, {START + DAY: START}) is row


# ----------------------------------------------------------------------------------------- what ends by others' clocks


def test_a_clock_is_ahead_by_the_steps_that_it_made_since() -> None:
    steps = [(HOUR, 600.0), (2 * HOUR, -100.0), (3 * HOUR, 86400.0), (4 * HOUR, -90000.0)]
    facts = Facts(clock_steps=tuple(ClockStepped(START + at, "boot-1", seconds) for at, seconds in steps))
    assert ahead_by(facts, START + 4 * HOUR) == timedelta(0)
    assert ahead_by(facts, START + 3 * HOUR) == timedelta(0)  # it was set back
    assert ahead_by(facts, START) == timedelta(0)
    early = Facts(clock_steps=facts.clock_steps[:3])
    assert ahead_by(early, START) == timedelta(seconds=86900)
    assert ahead_by(early, START + HOUR) == timedelta(seconds=86300)
    assert ahead_by(early, START + 3 * HOUR) == timedelta(0)
    assert ahead_by(Facts(clock_steps=(ClockStepped(START, "b", 1e300),)), START - US) < timedelta.max


def deaf_server(*, known: bool) -> Story:
    """Return a story in which a secondary answers no more, after it has served a record that refuses the new chain."""
    old, new = certificate("old", "old key"), certificate("new")
    story = Story()
    story.dns = Dns(servers={"ns1": (of_key(old),), "ns2": (of_key(old),) if known else "silent"})
    story.look().later(MINUTE)
    story.dns.servers = {"ns1": (of_key(new),), "ns2": "silent"}
    return story.look()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("by", [timedelta(0), 30 * DAY])
def test_a_clock_set_forward_ends_no_signature(known: bool, by: timedelta) -> None:  # noqa: FBT001
    new = certificate("new")
    story = deaf_server(known=known).later(by)
    story.note(ClockStepped(story.now, "boot-1", by.total_seconds()))
    for _ in range(13):
        assert "cached" in story.later(DAY).look().blocked(new) or "unreachable" in story.blocked(new)
    assert not story.look_for(5 * DAY, every=DAY).blocked(new)
