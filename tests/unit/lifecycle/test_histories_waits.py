"""What a rollover waits for, and what starts the wait again: servers that lag or fall back, clocks, signatures."""

from danelaw.lifecycle.gate import held
from danelaw.model import ClockStepped, Facts, Obtain, Rest, RRsetSeen, Server, TlsaRecord
from fakes.facts import DAY, HOUR, MINUTE, OWNER, SECOND, START, certificate, of_key, of_leaf
from fakes.rolling import OLD, Rolling, W, pin, steady, wish

ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]


def waiting(**fields: object) -> Rolling:
    """Return a story whose next key was published everywhere just now."""
    story = steady(**fields)  # type: ignore[arg-type]
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    return story


def lagging(**fields: object) -> Rolling:
    """Return a story whose next key was published just now, and of whose two servers one keeps the old RRset."""
    story = steady(**fields)  # type: ignore[arg-type]
    story.frozen = {"ns2"}
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    return story


# --- servers ---------------------------------------------------------------------------------------------------------


def test_a_server_that_lags_holds_the_order_and_starts_the_wait_when_it_catches_up() -> None:
    story = lagging()
    assert story.run(W + HOUR) == []
    assert "ns2 serves it" in story.waits()["cached"].why
    hold = story.holds()["lagging"]
    assert "ns2 does not yet serve" in hold.why
    story.frozen.clear()
    story.later(MINUTE).look()
    caught_up = story.now
    assert story.waits()["cached"].until == caught_up + W
    story.now = caught_up + W - SECOND
    assert isinstance(story.look().next(), Rest)
    story.now = caught_up + W
    assert story.look().steps() == ORDER


def test_a_server_seen_again_with_the_old_rrset_starts_the_wait_again() -> None:
    story = waiting()
    old = next(row.rdatas for row in story.facts.rrsets if len(row.rdatas) == 1)
    story.later(W - 10 * MINUTE).look()
    story.truth[OWNER]["ns2"] = old
    story.frozen = {"ns2"}
    story.later(5 * MINUTE).look()
    story.frozen.clear()
    story.later(5 * MINUTE).look()
    back = story.now
    assert story.waits()["cached"].until == back + W
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE) == ORDER


def test_a_deaf_server_is_named_with_until_when_at_the_latest() -> None:
    story = lagging()
    story.deaf = {"ns2"}
    story.later(MINUTE).look()
    story.steps()
    wait = story.waits()["cached"]
    assert "ns2 served it last and has not answered since" in wait.why
    ends = max(row.rrsig_expires for row in story.facts.rrsets if row.server == "ns2" and row.rrsig_expires)
    assert ends + DAY <= wait.until <= ends + 2 * DAY
    story.now = wait.until - SECOND
    assert "obtain" not in story.look().steps()
    story.now = wait.until
    assert story.look().steps() == ORDER


def test_a_deaf_server_holds_no_renewal_over_the_current_key() -> None:
    first = certificate("a short one", "the first key", since=START - 60 * DAY, until=START + 36 * DAY)
    story = lagging(first=first)
    story.deaf = {"ns2"}
    story.now = story.waits()["renewal"].until
    assert story.look().steps() == ORDER[:5]
    assert [step.ahead for _, step in story.done if isinstance(step, Obtain)] == [False]
    assert story.live().not_after > story.now + 80 * DAY


def test_a_server_that_is_behind_when_all_is_staged_holds_the_going_live() -> None:
    """All are looked at again just before: what was ripe for the order may be so no more."""
    story = steady(next_key=True)
    old = (pin(story.current),)
    story.ask()
    story.take()
    story.take()
    story.truth[OWNER]["ns2"] = old
    story.frozen = {"ns2"}
    story.later(MINUTE).look()
    assert story.steps() == []
    assert "ns2 serves it" in story.waits()["cached"].why
    assert story.live().spki_sha256 == story.current.spki_sha256
    story.frozen.clear()
    story.later(MINUTE).look()
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE)[:4] == ORDER[2:]


def test_a_look_that_is_too_old_lets_nothing_go_live() -> None:
    story = steady(next_key=True)
    story.ask()
    story.take()
    story.take()
    story.later(3 * MINUTE)
    assert isinstance(story.next(), Rest)
    assert story.waits()["look"].until == story.now


# --- signatures ------------------------------------------------------------------------------------------------------


def test_strict_waits_for_the_signatures_and_a_day() -> None:
    story = waiting(strict=True)
    rows = [row for row in story.facts.rrsets if len(row.rdatas) == 1]
    ends = max(row.rrsig_expires for row in rows if row.rrsig_expires)
    until = story.waits()["cached"].until
    assert ends + DAY <= until <= ends + 2 * DAY
    story.now = until - SECOND
    assert "obtain" not in story.look().steps()
    story.now = until
    assert story.look().steps() == ORDER


def test_not_strict_does_not() -> None:
    story = waiting()
    assert story.run(W, W) == ORDER


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_was_set_in_the_middle_of_a_wait_starts_it_again() -> None:
    story = waiting()
    story.later(W - 10 * MINUTE).look()
    story.note(ClockStepped(story.now, "boot", 3600.0))
    assert story.waits()["cached"].until == story.now + W
    assert "when the clock was set" in story.waits()["cached"].why
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE) == ORDER


def test_a_clock_that_was_set_before_the_wait_changes_nothing() -> None:
    story = steady()
    story.note(ClockStepped(story.now, "boot", 3600.0))
    story.later(HOUR).look()
    story.ask()
    assert story.steps() == ["take-next-key", "publish"]
    published = max(row.first_at for row in story.facts.rrsets)
    assert story.waits()["cached"].until == published + W


def test_in_the_steady_state_a_clock_that_was_set_makes_an_emergency_wait_for_nothing() -> None:
    """Nothing that refuses the next key may be held any more, so there is no wait that a clock could end early."""
    story = steady(next_key=True)
    story.later(3 * DAY).look()
    story.note(ClockStepped(story.now, "boot", 86400.0))
    story.later(MINUTE).look()
    story.ask("emergency")
    waits = story.waits()
    assert not waits or waits["cached"].until <= story.now + W


# --- plans -----------------------------------------------------------------------------------------------------------


def test_what_a_plan_lets_follow_at_the_instant_of_the_last_sight_came_after_it() -> None:
    """An RRset that comes back at that instant, and goes hours later, does not make the one between it count anew."""
    key, leaf, other = ((record,) for record in (of_key(OLD), of_leaf(OLD), TlsaRecord(3, 1, 1, bytes(32))))
    spans = ((key, 0, 1), (leaf, 1, 2), (key, 2, 9), (other, 9, 9))
    rows = tuple(
        RRsetSeen(OWNER, "ns1", "NOERROR", rdatas, 3600, 3600, 0, None, START + a * HOUR, START + b * HOUR)
        for rdatas, a, b in spans
    )
    end = START + 9 * HOUR
    facts = Facts(rrsets=rows, servers=(Server(OWNER, "ns1", 86400, START, end),))
    assert {item.rdatas for item in held(facts, wish(), OWNER, end)} == {key, other}
    early = Facts(rrsets=rows[:3], servers=(Server(OWNER, "ns1", 86400, START, START + 3 * HOUR),))
    assert leaf in {item.rdatas for item in held(early, wish(), OWNER, START + 3 * HOUR)}
