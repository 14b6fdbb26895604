"""RSA beside ECDSA: the union of the records, each chain covered by itself, neither certificate in the other's way."""

from dataclasses import replace

import pytest

from danelaw.lifecycle import predict, violations
from danelaw.lifecycle.records import Live, publication
from danelaw.model import (
    Activate,
    Chain,
    Hold,
    KeyAlgorithm,
    KeyFact,
    Obtain,
    Publish,
    Reload,
    Step,
    TakeKey,
    TlsaRecord,
)
from fakes.facts import DAY, HOUR, MINUTE, OURS, OWNER, SECOND, START, certificate, of_key, of_leaf
from fakes.pair import ALIEN, ECDSA, FIRST, RSA, Pair, pair, path_of, spec

R, E = of_key(FIRST[RSA]), of_key(FIRST[ECDSA])
BOTH = tuple(sorted((R, E)))
DUE = 40 * DAY
"""After so long what is deployed first is due."""


def rsa_alone() -> Pair:
    """Return a story of a live RSA certificate with its record, beside which ECDSA has just been put in the config."""
    story = Pair(pair(spec(RSA))).has("rsa").published(R).look()
    story.later(DAY).look()
    story.desired = pair()
    return story.key_of("ecdsa")


def settled(*names: KeyAlgorithm) -> Pair:
    """Return a story in which certificates are live, published and proven."""
    story = Pair()
    for name in names or ("rsa", "ecdsa"):
        story.has(name)
    return story.key_of("rsa").key_of("ecdsa").published(*BOTH).look().later(DAY).look()


# --- ECDSA is added --------------------------------------------------------------------------------------------------


def test_the_union_is_published_and_ripe_before_the_second_algorithm_goes_live() -> None:
    story = rsa_alone()
    step = story.take()
    assert isinstance(step, Publish)
    assert step.wanted == BOTH
    published = story.now
    assert story.steps() == ["obtain ecdsa", "stage ecdsa"]
    assert set(story.waits()) == {"cached", "renewal"}
    until = story.waits()["cached"].until
    assert until - published >= 2 * HOUR - MINUTE
    story.now = until - SECOND
    assert story.look().steps() == []
    story.later(SECOND)
    assert story.look().steps() == ["activate ecdsa", "reload ecdsa", "prove ecdsa"]
    assert set(story.waits()) == {"renewal"}
    assert not violations(story.desired, story.facts, story.now)


def test_a_second_algorithm_where_only_the_first_claims_the_records_is_told_to_claim_them_too() -> None:
    story = rsa_alone()
    story.desired = pair(spec(RSA), spec(ECDSA, claimed=False))
    assert story.steps() == ["obtain ecdsa", "stage ecdsa"]
    hold = story.holds()["cached"]
    assert hold.subject == path_of(ECDSA)
    assert hold.remedy == "claim that endpoint in a tlsa table of ecdsa too"


def test_a_chain_of_the_second_algorithm_that_somebody_else_presents_does_not_stop_its_publication() -> None:
    """The records refuse it already: they are right for RSA, and the new record is what leads out of it."""
    story = rsa_alone()
    story.runs["alien"] = ALIEN
    step = story.later(MINUTE).look().take()
    assert isinstance(step, Publish)
    assert step.wanted == BOTH
    assert story.steps() == ["obtain ecdsa", "stage ecdsa"]
    assert "refused-live" in story.holds()


def test_where_nothing_that_is_presented_is_accepted_a_person_is_needed() -> None:
    story = Pair().key_of("rsa").key_of("ecdsa")
    story.runs["alien"] = ALIEN
    story.dns.serve(of_key(certificate("nobody's", "nobody's key")))
    answer = publication(story.look().facts, story.desired, OWNER, story.now)
    assert isinstance(answer, Hold)
    assert answer.code == "refused-live"


def test_a_first_publication_waits_until_what_is_presented_of_either_algorithm_is_covered() -> None:
    story = Pair().has("rsa").key_of("ecdsa")
    story.runs[ECDSA] = ALIEN  # self-signed, in the file that is to be ours
    assert story.look().steps() == [
        *(f"{what} ecdsa" for what in ("obtain", "stage", "activate", "reload", "prove")),
        "publish 25",
    ]
    assert story.dns.primary == BOTH


def test_a_first_publication_does_not_come_while_the_other_algorithm_is_somebody_elses() -> None:
    story = Pair(pair(spec(RSA))).has("rsa")
    story.runs["alien"] = ALIEN  # from another file, which nobody here writes
    assert "publish 25" not in story.look().steps()
    assert story.dns.primary == ()
    assert "first-other-key" in story.holds()


def test_the_key_to_be_made_has_the_algorithm_that_the_config_says() -> None:
    story = Pair().look()
    facts = story.facts
    for name in (RSA, ECDSA):
        facts = predict(story.desired, facts, TakeKey(name, None, "why"), story.now)
    assert {key.certificate: key.algorithm for key in facts.keys} == {RSA: "rsa", ECDSA: "ecdsa"}


# --- one certificate's trouble is not the other's --------------------------------------------------------------------


def trouble(step: str, name: str) -> Pair:
    """Return a story in which a step of one certificate fails whenever it is tried, and both are due."""
    story = settled()
    story.later(DUE).look()
    story.ended(_step(step, name), "failed", "it broke")
    return story


def _step(step: str, name: str) -> Step:
    if step == "obtain":
        return Obtain(name, FIRST["rsa" if name == RSA else "ecdsa"].spki_sha256, "")
    return Activate(name, path_of(name), 2, "", "")


@pytest.mark.parametrize(("fails", "goes_on"), [(RSA, ECDSA), (ECDSA, RSA)])
def test_a_ca_that_refuses_one_does_not_keep_the_other(fails: str, goes_on: str) -> None:
    story = trouble("obtain", fails)
    assert story.steps() == [f"{what} {goes_on}" for what in ("obtain", "stage", "activate", "reload", "prove")]
    assert "backoff" in story.waits()


@pytest.mark.parametrize(("fails", "goes_on"), [(RSA, ECDSA), (ECDSA, RSA)])
def test_a_file_that_cannot_be_written_does_not_keep_the_other(fails: str, goes_on: str) -> None:
    story = trouble("activate", fails)
    done = story.steps()
    assert f"prove {goes_on}" in done
    assert f"activate {fails}" not in done
    assert "backoff" in story.waits()


def test_a_key_that_is_not_to_be_had_does_not_keep_the_others_records_back() -> None:
    story = Pair(pair(spec(RSA), replace(spec(ECDSA), key="/etc/ssl/broken.key"))).has("rsa").look()
    take = TakeKey(ECDSA, "/etc/ssl/broken.key", "adopt /etc/ssl/broken.key")
    assert story.next() == take
    story.ended(take, "failed", "not a key")
    step = story.later(SECOND).look().take()
    assert isinstance(step, Publish)
    assert step.wanted == (R,)


OLD_RSA = certificate("an old rsa", "an old rsa key", algorithm="rsa")


def retired(unproven: KeyAlgorithm) -> Pair:
    """Return a story in which the record of a retired RSA key is to go, and one deployment is not proven."""
    story = settled()
    old = KeyFact(OLD_RSA.spki_sha256, RSA, OLD_RSA.spki_der, "rsa", "", "", "made", START - 500 * DAY)
    story.facts = replace(story.facts, keys=(old, *story.facts.keys))
    story.published(*BOTH, of_key(OLD_RSA))
    story.note(*(replace(row, failed_at=story.now) for row in story.facts.generations if unproven in row.deployment))
    return story.later(SECOND).look()


def test_what_one_algorithm_used_is_withdrawn_while_the_other_is_unproven() -> None:
    step = retired("ecdsa").next()
    assert isinstance(step, Publish)
    assert step.wanted == BOTH


def test_and_not_while_it_is_unproven_itself() -> None:
    assert not isinstance(retired("rsa").next(), Publish)


def test_an_unknown_record_is_kept_while_either_is_unproven() -> None:
    stale = TlsaRecord(3, 0, 1, b"\7" * 32)
    story = Pair(pair(spec(RSA, prune=(stale,)), spec(ECDSA)))
    story.has("rsa").has("ecdsa").published(*BOTH).dns.serve(*BOTH, stale)
    story.note(*(replace(row, failed_at=story.now) for row in story.facts.generations if ECDSA in row.deployment))
    assert not isinstance(story.look().next(), Publish)
    story.note(*(replace(row, failed_at=None) for row in story.facts.generations))
    step = story.next()
    assert isinstance(step, Publish)
    assert step.wanted == BOTH


# --- what is presented -----------------------------------------------------------------------------------------------


def test_a_chain_of_the_other_algorithm_is_no_stray() -> None:
    story = settled()
    story.runs[ECDSA] = certificate("another ecdsa", "the ecdsa key", algorithm="ecdsa")
    story.later(MINUTE).look()
    step = story.next()
    assert isinstance(step, Reload)
    assert step.certificate == ECDSA
    assert "another chain" in step.why


def test_a_chain_that_is_not_presented_any_more_is_reloaded_and_said() -> None:
    """ECDSA was taken out of the service's config by hand; RSA is presented all the same."""
    story = settled()
    del story.runs[ECDSA]
    step = story.later(MINUTE).look().next()
    assert isinstance(step, Reload)
    assert step.certificate == ECDSA
    assert "another algorithm" in step.why


def test_what_was_put_back_is_not_moved_by_the_other_algorithm() -> None:
    """Generation 0's chain was never issued to us: it is known from having been presented."""
    story = Pair()
    before = certificate("what stood there", "the rsa key", algorithm="rsa")
    story.has("ecdsa").key_of("rsa").runs[RSA] = before
    story.files[RSA] = before
    story.published(*BOTH).look().later(MINUTE)
    story.has("rsa", before, n=0)
    story.facts = replace(story.facts, chains=tuple(row for row in story.facts.chains if row.certificate == ECDSA))
    story.runs[ECDSA] = certificate("another ecdsa", "the ecdsa key", algorithm="ecdsa")
    step = story.later(MINUTE).look().next()
    assert isinstance(step, Reload)
    assert step.certificate == ECDSA


def test_of_two_chains_at_an_address_the_one_refused_before_does_not_hide_the_one_refused_now() -> None:
    live = Live(((OURS, FIRST[RSA]), (OURS, ALIEN)), ())
    before, after = live.refusals((R,), (), OWNER, START), live.refusals((E,), (), OWNER, START)
    assert before == {(OURS, ALIEN)}
    assert after == {(OURS, ALIEN), (OURS, FIRST[RSA])}


def test_a_change_that_refuses_one_algorithm_is_a_violation() -> None:
    story = settled()
    step = Publish(OWNER, OWNER, "home", BOTH, (R,), 3600, "")
    after = predict(story.desired, story.facts, step, story.now)
    assert [item.leaf_sha256 for item in violations(story.desired, after, story.now)] == [FIRST[ECDSA].leaf_sha256]
    assert not violations(story.desired, story.facts, story.now)


# --- repairs ---------------------------------------------------------------------------------------------------------


def renewed_once(name: KeyAlgorithm) -> tuple[Pair, Chain]:
    """Return a story of both, of which one went live over the same key a second time."""
    story = settled()
    second = certificate(f"the second {name}", f"the {name} key", algorithm=name, until=START + 120 * DAY)
    story.later(DAY).has(name, second, n=2).look()
    return story, second


@pytest.mark.parametrize("name", ["rsa", "ecdsa"])
def test_only_what_the_records_refuse_goes_back(name: KeyAlgorithm) -> None:
    story, _ = renewed_once(name)
    other = "ecdsa" if name == "rsa" else "rsa"
    story.dns.serve(of_leaf(FIRST[name]), of_leaf(FIRST[other]))
    story.dns.primary = "no answer"
    step = story.later(MINUTE).look().next()
    assert isinstance(step, Activate)
    assert (step.certificate, step.n, step.back) == (name, 1, True)


def test_a_record_that_somebody_removed_is_published_again_and_nothing_else_happens() -> None:
    story = settled()
    story.dns.serve(R)
    step = story.later(MINUTE).look().take()
    assert isinstance(step, Publish)
    assert step.wanted == BOTH
    assert story.steps() == []


# --- renewals --------------------------------------------------------------------------------------------------------


def test_one_renewal_leaves_the_other_alone() -> None:
    story = settled()
    story.later(DUE - DAY)
    young = certificate(
        "a young ecdsa", "the ecdsa key", algorithm="ecdsa", since=story.now, until=story.now + 90 * DAY
    )
    story.has("ecdsa", young, n=2).look().later(2 * DAY).look()
    assert story.steps() == [f"{what} rsa" for what in ("obtain", "stage", "activate", "reload", "prove")]
    assert {chain.leaf_sha256 for chain in story.runs.values()} > {young.leaf_sha256}


def test_two_renewals_of_one_run_are_one_reload_and_two_proofs() -> None:
    story = settled()
    story.later(DUE).look()
    assert story.steps() == [
        *("obtain rsa", "obtain ecdsa"),
        *("stage rsa", "activate rsa", "stage ecdsa", "activate ecdsa"),
        *("reload rsa", "prove rsa", "prove ecdsa"),
    ]
    assert story.reloads == 1


# --- one leaves ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("presented", [True, False])
def test_the_record_of_a_certificate_that_left_the_config_is_kept(*, presented: bool) -> None:
    story = settled()
    story.desired = pair(spec(RSA))
    if not presented:
        del story.runs[ECDSA], story.files[ECDSA]
    story.later(MINUTE).look()
    assert story.steps() == []
    assert story.dns.primary == BOTH


def test_until_it_is_named_and_presented_no_more() -> None:
    story = settled()
    story.desired = pair(spec(RSA, prune=(E,)))
    assert story.later(MINUTE).look().steps() == []
    del story.runs[ECDSA], story.files[ECDSA]
    assert story.later(MINUTE).look().steps() == ["publish 25"]
    assert story.dns.primary == (R,)
