"""Honest clocks make no step, whatever the machine goes through; each jump is one, and none raises."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from danelaw.lifecycle.clock import instants, levelled, stepped
from danelaw.model import ClockSeen, ClockStepped, Effect, Fact, Facts, OwnRecord, RRsetSeen, TlsaRecord

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
SLEW = 500e-6

spans = st.floats(0, 86400 * 400)
slews = st.floats(-SLEW, SLEW)
jumps = st.floats(1e5, 1e9) | st.floats(-1e9, -1e5)
HonestDays = list[tuple[float, float, float | None]]
# Of what passed between a look and a boot nothing but the wall clock tells: an hour of it is believed.
rebooted = st.tuples(st.floats(0, 500), slews, st.floats(1, 3000))
honest = st.lists(st.tuples(spans, slews, st.none()) | rebooted, max_size=8)


class Machine:
    """A host's clocks: what passes, passes on both; a boot takes a while and starts the boot clock anew."""

    def __init__(self) -> None:
        self.wall, self.boots, self.up = START, 1, 5.0

    def live(self, span: float, slew: float, off: float | None) -> None:
        """Let time pass, running or suspended; then be off for so many seconds, if at all."""
        self.wall += timedelta(seconds=span * (1 + slew))
        self.up += span
        if off is not None:
            self.wall += timedelta(seconds=off)
            self.boots, self.up = self.boots + 1, 0.0

    @property
    def boot(self) -> tuple[str, float]:
        return f"boot-{self.boots}", self.up

    @property
    def seen(self) -> ClockSeen:
        return ClockSeen("h", *self.boot, self.wall)


@given(days=honest)
def test_no_honest_clock_made_a_step(days: HonestDays) -> None:
    machine = Machine()
    for day in days:
        seen = machine.seen
        machine.live(*day)
        assert stepped(seen, machine.wall, machine.boot) is None


@given(day=st.tuples(st.floats(0, 86400), slews, st.none()) | rebooted, jump=jumps)
def test_each_jump_is_a_step(day: tuple[float, float, float | None], jump: float) -> None:
    machine = Machine()
    seen = machine.seen
    machine.live(*day)
    now = machine.wall + timedelta(seconds=jump)
    found = stepped(seen, now, machine.boot)
    assert found is not None
    assert found.at == now
    assert (found.seconds > 0) is (jump > 0)


@given(span=st.floats(0, 1e6), slew=slews, jump=st.floats(1, 1e5) | st.floats(-1e5, -1))
def test_in_one_boot_a_jump_is_hidden_by_less_than_a_hundredth_of_what_passed(
    span: float, slew: float, jump: float
) -> None:
    machine = Machine()
    seen = machine.seen
    machine.live(span, slew, None)
    found = stepped(seen, machine.wall + timedelta(seconds=jump), machine.boot)
    if abs(jump) > 2.1 + 0.0016 * span:
        assert found is not None
        assert abs(found.seconds - jump) <= SLEW * span + 0.001


any_instant = st.datetimes().map(lambda at: at.replace(tzinfo=UTC))


@given(
    seen=st.builds(ClockSeen, st.just("h"), st.sampled_from("ab"), st.floats(), any_instant),
    now=any_instant,
    boot=st.tuples(st.sampled_from("ab"), st.floats()),
)
def test_nothing_is_too_absurd(seen: ClockSeen, now: datetime, boot: tuple[str, float]) -> None:
    found = stepped(seen, now, boot)
    assert found is None or abs(timedelta(seconds=found.seconds)) < timedelta.max


near = st.integers(-9, 9).map(lambda n: START + timedelta(microseconds=n))
maybe = st.none() | near
record = TlsaRecord(3, 1, 1, b"x")
rows = st.lists(
    st.builds(
        RRsetSeen, *map(st.just, ("o", "s", "NOERROR", (), 60, 60, 0)), rrsig_expires=maybe, first_at=near, last_at=near
    )
    | st.builds(OwnRecord, st.just("o"), st.just(record), st.just("home"), near, maybe)
    | st.builds(ClockStepped, near, st.just("boot-1"), st.just(1.0))
    | st.builds(Effect, st.just(1), *map(st.just, ("obtain", "n", "{}")), near, maybe, retry_at=maybe),
    max_size=6,
)
FIELD = {RRsetSeen: "rrsets", OwnRecord: "own_records", ClockStepped: "clock_steps", Effect: "effects"}


def facts_of(found: list[Fact | Effect]) -> Facts:
    return Facts(**{name: tuple(row for row in found if type(row) is kind) for kind, name in FIELD.items()})  # type: ignore[arg-type]


def instants_of(facts: Facts) -> list[datetime]:
    return [at for each in fields(facts) for row in getattr(facts, each.name) for at in instants(row)]


@given(found=rows, at=near)
def test_levelled_facts_keep_their_order_and_lie_before(found: list[Fact | Effect], at: datetime) -> None:
    facts = facts_of(found)
    level = levelled(facts, at)
    before, after = instants_of(facts), instants_of(level)
    if max(before, default=at) <= at:
        assert level is facts
        return
    assert max(after) < at
    assert len(before) == len(after)
    pairs = list(zip(before, after, strict=True))
    assert all((a < c) == (b < d) for a, b in pairs for c, d in pairs)
    assert all(b <= a for a, b in pairs)
    assert levelled(level, at) is level
    # Nothing else has changed.
    assert [timeless(row) for row in level.rrsets] == [timeless(row) for row in facts.rrsets]


def timeless(row: RRsetSeen) -> RRsetSeen:
    return replace(row, first_at=START, last_at=START)
