"""The judges of the demo can say no: each accepts the right record and refuses a wrong one."""

from collections.abc import Iterator

import pytest

from demo.verdicts import OWNER, verdicts
from world import World

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def judged() -> Iterator[World]:
    with World(services={"bind", "knot", "unbound", "postfix"}, ttl=1) as world:
        yield world


def test_all_accept_the_right_record(judged: World) -> None:
    judged.publish(OWNER, [judged.initial.tlsa(1)], ttl=1)
    judged.resolver.flush()
    assert [(v.tool, v.said) for v in verdicts(judged) if not v.good] == []


def test_all_that_shake_hands_refuse_a_wrong_record(judged: World) -> None:
    judged.publish(OWNER, [f"3 1 1 {'ab' * 32}"], ttl=1)
    judged.resolver.flush()
    accepting = [v.tool for v in verdicts(judged) if v.good]
    assert accepting == ["delv TLSA"]  # which validates DNSSEC and shakes no hands
