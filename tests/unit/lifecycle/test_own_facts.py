"""A component decides by its own facts: others' change nothing, and cost next to nothing."""

import cProfile
import pstats
from dataclasses import replace

import pytest

from danelaw.lifecycle.components import own_facts
from danelaw.lifecycle.merge import merge
from danelaw.lifecycle.steps import step
from danelaw.model import Effect, Endpoint, Facts, Intent, KeyFact
from fakes.facts import DAY, HOUR, MINUTE, OWNER, SMTP, START, certificate, of_key
from fakes.pair import ECDSA, FIRST, RSA, Pair

BOTH = (of_key(FIRST[RSA]), of_key(FIRST[ECDSA]))
ELSEWHERE = Endpoint("mx.elsewhere.test", 25, "smtp")


def story(age: float) -> Pair:
    return Pair().has("rsa").has("ecdsa").published(*BOTH).look().later(age * DAY).look()


def with_others(facts: Facts, count: int) -> Facts:
    """Return facts with those of other certificates, which are like them and all elsewhere."""
    for n in range(count):
        owner, name = f"_25._tcp.mx{n}.elsewhere.test.", f"other {n}"
        endpoint = replace(ELSEWHERE, host=f"mx{n}.elsewhere.test")
        chain = certificate(name, f"the key of {name}")
        key = KeyFact(chain.spki_sha256, name, chain.spki_der, "rsa", "", "", "made", START, current_since=START)
        facts = merge(
            facts,
            [
                key,
                Intent(name, "renew", "a person", START),
                *(replace(row, owner=owner) for row in facts.rrsets if row.owner == OWNER),
                *(replace(row, owner=owner) for row in facts.servers if row.owner == OWNER),
                *(replace(row, owner=owner) for row in facts.owners if row.owner == OWNER),
                *(replace(row, owner=owner) for row in facts.primaries if row.owner == OWNER),
                *(replace(row, endpoint=endpoint, chain=chain) for row in facts.presented if row.endpoint == SMTP),
                *(replace(row, certificate=name, chain=chain) for row in facts.chains if row.certificate == RSA),
                *(
                    replace(row, deployment=f"/{n}.pem")
                    for row in facts.generations
                    if row.deployment.startswith("/etc")
                ),
            ],
        )
        effect = Effect(len(facts.effects) + 1, "publish", owner, "{}", START, START, "failed", "it broke")
        facts = replace(facts, effects=(*facts.effects, effect))
    return facts


@pytest.mark.parametrize("age", [1, 40])
def test_others_facts_change_no_decision(age: float) -> None:
    alone = story(age)
    whole = with_others(alone.facts, 3)
    assert whole != alone.facts
    assert step(alone.desired, whole, alone.now) == step(alone.desired, alone.facts, alone.now)


def test_only_keys_are_kept_of_others() -> None:
    alone = story(1)
    own = own_facts(alone.desired, with_others(alone.facts, 3))
    assert len(own.keys) == len(alone.facts.keys) + 3
    assert replace(own, keys=alone.facts.keys) == alone.facts


def test_a_failure_of_ones_own_is_not_left_out() -> None:
    alone = story(40)
    failing = replace(
        alone.facts,
        effects=(Effect(9, "obtain", RSA, "{}", alone.now - MINUTE / 2, alone.now - MINUTE / 2, "failed", "the CA"),),
    )
    answer = step(alone.desired, with_others(failing, 3), alone.now)
    assert answer == step(alone.desired, failing, alone.now) != step(alone.desired, alone.facts, alone.now)


def calls(facts: Facts, of: Pair) -> int:
    profile = cProfile.Profile()
    profile.runcall(lambda: step(of.desired, facts, of.now))
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # documented, and not in the stubs


def test_a_decision_costs_little_more_beside_others() -> None:
    alone = story(1).later(HOUR).look()
    assert calls(with_others(alone.facts, 40), alone) < 3 * calls(with_others(alone.facts, 1), alone)
