"""RSA beside ECDSA, each with its current and next key: one rolls over, or both, while the other renews or fails."""

from dataclasses import replace
from datetime import timedelta

from danelaw.lifecycle.keys import current_key, next_key
from danelaw.model import CertificateSpec, Intent, KeyAlgorithm, KeyFact, Rest
from fakes.facts import DAY, HOUR, MINUTE, OURS, START, in_a_word, of_key
from fakes.pair import ECDSA, FIRST, RSA, Pair, pair, spec
from fakes.rolling import pin

ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]
NAMES: tuple[KeyAlgorithm, ...] = (RSA, ECDSA)  # type: ignore[assignment]


def both(*names: KeyAlgorithm) -> Pair:
    """Return a story of the two certificates (or those named) with a next key each, in every cache."""
    names = names or NAMES
    story = Pair(pair(*(replace(spec(name), next_key=True) for name in names)))
    for name in names:
        story.has(name)
    story.published(*(of_key(FIRST[name]) for name in names)).look().later(DAY).look()
    story.steps()
    return story.later(DAY).look()


def the(story: Pair, name: str) -> CertificateSpec:
    return next(each for each in story.desired.certificates if each.name == name)


def keys(story: Pair, name: str) -> tuple[KeyFact, KeyFact]:
    """Return the current and the next key of a certificate."""
    current, coming = current_key(story.facts, name), next_key(story.facts, the(story, name))
    assert current is not None
    assert coming is not None
    return current, coming


def ask(story: Pair, *names: str) -> None:
    story.note(*(Intent(name, "rollover", "me", story.now) for name in names))


def run(story: Pair, span: timedelta) -> list[str]:
    """Take steps and look each hour; return what was done, each with its certificate."""
    end, said = story.now + span, story.steps()
    while story.now < end:
        said += story.later(HOUR).look().steps()
    return said


def test_four_records_stand_and_each_next_key_is_of_the_type_of_its_current_one() -> None:
    story = both()
    stands = {pin(key) for name in NAMES for key in keys(story, name)}
    assert set(story.dns.primary) == stands
    assert len(stands) == 4
    for name in NAMES:
        assert [key.algorithm for key in keys(story, name)] == [name, name]


def test_one_rolls_over_and_the_other_is_left_alone() -> None:
    story = both()
    (old, new), others = keys(story, RSA), keys(story, ECDSA)
    ask(story, RSA)
    assert [word for word in story.steps() if word.endswith(RSA)][:6] == [f"{word} {RSA}" for word in ORDER]
    assert keys(story, RSA)[0].spki_sha256 == new.spki_sha256
    assert keys(story, ECDSA) == others
    assert {chain.spki_sha256 for chain in story.runs.values()} == {new.spki_sha256, others[0].spki_sha256}
    assert {pin(key) for key in (old, new, *others)} < set(story.dns.primary)
    run(story, DAY + HOUR)
    assert pin(old) not in story.dns.primary
    assert {pin(key) for key in others} < set(story.dns.primary)


def test_one_rolls_over_while_the_other_renews() -> None:
    story = both()
    before = keys(story, ECDSA)
    ask(story, RSA)
    story.note(Intent(ECDSA, "renew", "me", story.now))
    said = story.steps()
    assert said.count(f"promote {RSA}") == 1
    assert said.count(f"obtain {ECDSA}") == 1
    assert story.runs[ECDSA] != FIRST[ECDSA]
    assert keys(story, ECDSA) == before


def test_both_at_once_share_a_reload_and_each_is_promoted() -> None:
    story = both()
    coming = {name: keys(story, name)[1] for name in NAMES}
    ask(story, RSA, ECDSA)
    said = story.steps()
    assert story.reloads == 1
    for name in NAMES:
        assert said.count(f"promote {name}") == 1
        assert story.runs[name].spki_sha256 == coming[name].spki_sha256
    assert len(story.dns.primary) == 6
    run(story, DAY + HOUR)
    assert len(story.dns.primary) == 4


def test_where_the_files_of_one_break_the_test_both_go_back_and_the_good_one_goes_over_alone() -> None:
    story = both()
    story.bad = {RSA}
    ask(story, RSA, ECDSA)
    said = run(story, 3 * HOUR)
    assert said.count(f"promote {ECDSA}") == 1
    assert f"promote {RSA}" not in said
    assert story.runs[RSA] == FIRST[RSA]
    assert {pin(key) for name in NAMES for key in keys(story, name)} < set(story.dns.primary)
    story.bad.clear()
    assert f"promote {RSA}" in run(story, DAY + HOUR)


def test_one_that_joins_publishes_both_its_keys_first_and_goes_live_when_they_are_ripe() -> None:
    story = both(NAMES[0])
    story.desired = pair(*(replace(spec(name), next_key=True) for name in NAMES))
    assert story.steps() == [f"take-key {ECDSA}", f"take-next-key {ECDSA}", "publish 25", *end("obtain", "stage")]
    assert story.at[OURS] == (FIRST[RSA],)
    assert len(story.dns.primary) == 4
    assert run(story, 2 * HOUR)[-3:] == end("activate", "reload", "prove")


def end(*words: str) -> list[str]:
    return [f"{word} {ECDSA}" for word in words]


def test_one_that_leaves_the_config_keeps_its_records_while_the_other_rolls_over() -> None:
    story = both()
    gone = keys(story, ECDSA)
    story.desired = pair(replace(spec(RSA), next_key=True))
    del story.files[ECDSA]  # what the service has read goes on being presented
    assert story.steps() == []
    ask(story, RSA)
    run(story, 2 * DAY)
    assert pin(gone[0]) in story.dns.primary
    assert story.runs[ECDSA] == FIRST[ECDSA]


def test_the_next_step_of_one_is_no_rest_of_the_other() -> None:
    """Anybody's step comes before anybody's rest."""
    story = both()
    ask(story, ECDSA)
    step = story.later(MINUTE).look().next()
    assert not isinstance(step, Rest)
    assert in_a_word(step) == "obtain"
    assert story.now > START
