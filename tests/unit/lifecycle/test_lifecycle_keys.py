"""Which key is current, next or retired; when one is replaced, and where none can be."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from danelaw.lifecycle.keys import (
    current_key,
    next_key,
    next_type,
    obstacle,
    open_rollover,
    retired_keys,
    rollover_at,
    settling,
    wanted_rollover,
    wants_next_key,
)
from danelaw.lifecycle.wanted import promised_keys
from danelaw.model import (
    CertificateSpec,
    Deployment,
    Facts,
    FileSpec,
    Intent,
    IntentOption,
    KeyFact,
    ReadyCsr,
    SpareKey,
)
from fakes.facts import DAY, HOUR, NAME, SMTP, START
from fakes.rolling import halfway, wish

SPEC = wish().certificates[0]


def key(name: str, current: datetime | None = None, *, made: datetime = START - 400 * DAY, **fields: object) -> KeyFact:
    """Return an RSA key that is nothing but its name."""
    row = KeyFact(name, NAME, name.encode(), "rsa", "", "", "made", made, current_since=current)
    return replace(row, **fields)  # type: ignore[arg-type]


A = key("a", START - 300 * DAY)
B = key("b", START - 100 * DAY)
N = key("n", made=START - 50 * DAY)


def facts(*keys: KeyFact, intents: tuple[Intent, ...] = ()) -> Facts:
    return Facts(keys=keys, intents=intents)


def ask(*options: IntentOption, at: datetime = START, closed: datetime | None = None) -> Intent:
    return Intent(NAME, "rollover", "me", at, closed, options)


def spec(**fields: object) -> CertificateSpec:
    return replace(SPEC, **fields)  # type: ignore[arg-type]


# --- current, next, retired ------------------------------------------------------------------------------------------


def test_the_current_key_is_the_one_that_became_so_last_whatever_the_order() -> None:
    for keys in ((A, B, N), (N, B, A)):
        assert current_key(facts(*keys), NAME) == B
        assert retired_keys(facts(*keys), NAME) == (A,)
        assert next_key(facts(*keys), SPEC) == N


def test_another_certificates_keys_are_none_of_this_one() -> None:
    assert current_key(facts(replace(B, certificate="other.example")), NAME) is None
    assert next_key(facts(A, replace(N, certificate="other.example")), SPEC) is None


def test_a_destroyed_key_is_current_no_more_and_an_archived_one_is_retired_still() -> None:
    gone = replace(B, destroyed_at=START)
    assert current_key(facts(A, gone), NAME) == A
    archived = replace(A, archived_at=START)
    assert retired_keys(facts(archived, B), NAME) == (archived,)


@pytest.mark.parametrize("field", ["compromised_at", "destroyed_at", "archived_at", "current_since"])
def test_what_cannot_be_a_next_key(field: str) -> None:
    assert next_key(facts(A, replace(N, **{field: START})), SPEC) is None  # type: ignore[arg-type]
    older = key("older", made=START - 90 * DAY)
    assert next_key(facts(A, older, replace(N, **{field: START})), SPEC) == older  # type: ignore[arg-type]


def test_the_newest_of_two_next_keys_counts() -> None:
    newer = key("newer", made=START - DAY)
    assert next_key(facts(A, newer, N), SPEC) == newer


def test_a_next_key_of_another_type_than_wanted_is_none() -> None:
    assert next_type(facts(A), SPEC) == "rsa2048"
    assert next_key(facts(A, N), spec(key_type="rsa3072")) == N
    assert next_key(facts(A, N), spec(key_type="p256")) is None
    ecdsa = key("e", made=START - 90 * DAY, algorithm="ecdsa")
    assert next_key(facts(A, N, ecdsa), spec(key_type="p256")) == ecdsa
    assert next_type(facts(), SPEC) == "p256"


def test_where_a_spare_key_is_named_no_other_one_is_next() -> None:
    spare = spec(spare=SpareKey("spare.pub", b"s"))
    kept = key("s", origin="elsewhere")
    assert next_key(facts(A, N), spare) is None
    assert next_key(facts(A, N, kept), spare) == kept
    assert next_key(facts(A, kept), SPEC) is None, "it cannot be gone over to: its private half is elsewhere"


# --- when a key is replaced ------------------------------------------------------------------------------------------


def test_nobody_asked_and_no_schedule_means_no_rollover() -> None:
    assert wanted_rollover(facts(A, N), SPEC, START) is None
    assert wanted_rollover(facts(N), SPEC, START) is None, "without a current key there is none to replace"
    assert not wants_next_key(facts(A), SPEC, START)


def test_an_open_request_is_a_rollover_and_a_closed_one_none() -> None:
    wanted = wanted_rollover(facts(A, intents=(ask(),)), SPEC, START)
    assert wanted is not None
    assert (wanted.since, wanted.emergency, wanted.past_caches) == (START, False, False)
    assert wants_next_key(facts(A, intents=(ask(),)), SPEC, START)
    closed = facts(A, intents=(ask(closed=START),))
    assert open_rollover(closed, NAME) is None
    assert wanted_rollover(closed, SPEC, START) is None


def test_the_newest_open_request_says_how_urgent_it_is() -> None:
    intents = (ask(), ask("emergency", "accept-outage", at=START + HOUR))
    wanted = wanted_rollover(facts(A, intents=intents), SPEC, START)
    assert wanted is not None
    assert (wanted.emergency, wanted.past_caches) == (True, True)


def test_a_schedule_counts_from_when_the_key_became_current_to_the_second() -> None:
    yearly = spec(rollover=365 * DAY)
    at = rollover_at(facts(B), yearly)
    assert at == START + 265 * DAY
    assert wanted_rollover(facts(B), yearly, at - timedelta(seconds=1)) is None
    assert wanted_rollover(facts(B), yearly, at) is not None
    assert rollover_at(facts(B), SPEC) is None


def test_a_compromised_current_key_is_an_emergency_and_goes_past_no_cache_by_itself() -> None:
    leaked = replace(A, compromised_at=START)
    wanted = wanted_rollover(facts(leaked), SPEC, START)
    assert wanted is not None
    assert (wanted.emergency, wanted.past_caches) == (True, False)
    asked = wanted_rollover(facts(leaked, intents=(ask("emergency", "accept-outage"),)), SPEC, START)
    assert asked is not None
    assert asked.past_caches
    assert wanted_rollover(facts(A, replace(N, compromised_at=START)), SPEC, START) is None


# --- where none can be -----------------------------------------------------------------------------------------------


def test_what_a_key_cannot_be_replaced_in() -> None:
    assert obstacle(SPEC) is None
    csr = obstacle(spec(csr=ReadyCsr("/etc/ssl/my.csr", b"", b"")))
    assert csr is not None
    assert "/etc/ssl/my.csr is over one key" in csr[0]
    bare = Deployment(NAME, (FileSpec("/etc/ssl/mail.pem", ("cert", "chain")),), (SMTP,))
    keyless = obstacle(spec(deployments=(*SPEC.deployments, bare)))
    assert keyless is not None
    assert "the deployment of /etc/ssl/mail.pem carries no key" in keyless[0]
    nowhere = obstacle(spec(deployments=()))
    assert nowhere is not None
    assert "deploys it nowhere" in nowhere[0]
    for deployments in ((), (bare,)):
        assert not wants_next_key(facts(A), spec(next_key=True, deployments=deployments), START)


# --- settling --------------------------------------------------------------------------------------------------------


def test_the_key_replaced_last_settles_from_the_promotion_on() -> None:
    found = settling(facts(A, B), spec(settle=6 * HOUR))
    assert found is not None
    assert (found.key, found.until) == (A, START - 100 * DAY + 6 * HOUR)
    assert settling(facts(B), SPEC) is None
    assert settling(facts(replace(A, archived_at=START), B), SPEC) is None


@pytest.mark.parametrize(
    ("old", "asked"),
    [(replace(A, compromised_at=START), None), (A, ask("emergency", closed=B.current_since))],
    ids=["compromised", "emergency"],
)
def test_an_urgent_rollover_has_no_settling(old: KeyFact, asked: Intent | None) -> None:
    found = settling(facts(old, B, intents=(asked,) if asked else ()), SPEC)
    assert found is not None
    assert found.until == B.current_since


def test_an_emergency_that_was_answered_by_an_earlier_promotion_is_none_of_this_one() -> None:
    found = settling(facts(A, B, intents=(ask("emergency", closed=A.current_since),)), SPEC)
    assert found is not None
    assert B.current_since is not None
    assert found.until == B.current_since + SPEC.settle


def test_the_records_promised_are_of_the_current_the_next_and_the_one_that_settles() -> None:
    known, when = facts(A, B, N), START - 100 * DAY
    assert promised_keys(known, spec(next_key=True, settle=DAY), when + HOUR) == (B, N, A)
    assert promised_keys(known, spec(next_key=True, settle=DAY), when + 2 * DAY) == (B, N)
    assert promised_keys(known, SPEC, when + 2 * DAY) == (B,)
    assert promised_keys(facts(N), SPEC, START) == ()


def test_a_next_key_that_is_live_somewhere_is_promised_though_nobody_wants_it_any_more() -> None:
    story = halfway()
    story.change(next_key=False)
    story.cancel()
    assert promised_keys(story.facts, story.spec, story.now) == (story.current, story.following)
    story.steps()
    assert promised_keys(story.facts, story.spec, story.now) == (story.current,)
