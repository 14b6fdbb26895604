"""Records that pin a CA: added, dropped, renewed by another authority, gone over to with a new key."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256

from chains import Issued, issue
from danelaw import pki
from danelaw.model import Chain, Intent, KeyFact, RecordSpec, TlsaRecord
from fakes.facts import (
    DAY,
    HOST,
    MINUTE,
    NAME,
    START,
    THEIRS,
)
from fakes.rolling import (
    THREE_ONE_ONE,
    Rolling,
    W,
    pin,
    steady,
)

TWO_ONE_ONE = RecordSpec(2, 1, 1)
ORDER = ["obtain", "stage", "activate", "reload", "prove", "promote"]
LIVE = ORDER[1:5]


def renew(story: Rolling) -> None:
    story.note(Intent(NAME, "renew", "me", story.now))


@cache
def authorities() -> tuple[Issued, Issued]:
    root = issue("Root", ca=True, days=900)
    one, two = (issue(f"CA {n}", root, ca=True, path_length=0, days=900) for n in (1, 2))
    return one, two


def over(spki_der: bytes, issuer: Issued | None, at: datetime) -> Chain:
    """Return a chain that a CA issues at an instant, over what stands for a key."""
    chain = pki.chain_from_der(issue(HOST, issuer, at=at, days=90).chain_der)
    return replace(chain, spki_der=spki_der, spki_sha256=sha256(spki_der).hexdigest(), algorithm="rsa")


class Ca:
    """Issues by the first of its authorities, until told otherwise."""

    def __init__(self) -> None:
        self.issuer: Issued | None = authorities()[0]

    def __call__(self, key: KeyFact, now: datetime) -> Chain:
        return over(key.spki_der, self.issuer, now - timedelta(minutes=1))


def issued(records: tuple[RecordSpec, ...] = (THREE_ONE_ONE,), **fields: object) -> tuple[Rolling, Ca]:
    """Return a story whose certificates are real, with the CA, once its records are in every cache."""
    first = over(b"the first key", authorities()[0], START - 30 * DAY)
    story, ca = steady(first=first, **fields), Ca()
    story.mint = ca
    story.change(records=records)
    story.steps()
    story.later(DAY).look()
    story.done.clear()
    return story, ca


def of_ca(number: int) -> TlsaRecord:
    ca = pki.chain_from_der(authorities()[number].chain_der)
    return TlsaRecord(2, 1, 1, bytes.fromhex(ca.spki_sha256))


def test_a_cas_record_is_added_where_what_is_live_presents_it_and_dropped_in_one() -> None:
    story, _ = issued()
    story.change(records=(THREE_ONE_ONE, TWO_ONE_ONE))
    assert story.steps() == ["publish"]
    assert set(story.dns.primary) == {pin(story.current), of_ca(0)}
    story.change(records=(THREE_ONE_ONE,))
    assert story.steps() == ["publish"]
    assert story.dns.primary == (pin(story.current),)


def test_a_renewal_by_another_ca_certificate_is_published_ripe_and_then_live() -> None:
    story, ca = issued((THREE_ONE_ONE, TWO_ONE_ONE))
    ca.issuer = authorities()[1]
    renew(story)
    assert story.steps() == ["obtain", "publish", "stage"]
    assert {of_ca(0), of_ca(1)} < set(story.dns.primary)
    assert story.run(W - MINUTE, W - MINUTE) == []
    assert story.run(2 * MINUTE, MINUTE) == [*LIVE[1:], "publish"]
    assert set(story.dns.primary) == {pin(story.current), of_ca(1)}


def test_where_the_config_knows_all_its_ca_certificates_a_renewal_by_another_waits_for_nothing() -> None:
    known = tuple(each.der for each in authorities())
    story, ca = issued((THREE_ONE_ONE, TWO_ONE_ONE), intermediates=known)
    assert {of_ca(0), of_ca(1)} < set(story.dns.primary)
    ca.issuer = authorities()[1]
    renew(story)
    assert story.steps() == ORDER[:5]
    assert {of_ca(0), of_ca(1)} < set(story.dns.primary)


def test_a_rollover_by_the_same_ca_certificate_waits_for_the_keys_record_alone() -> None:
    story, _ = issued((THREE_ONE_ONE, TWO_ONE_ONE), next_key=True)
    story.ask()
    assert story.steps()[:6] == ORDER


def test_from_the_keys_record_to_the_cas_with_a_new_key() -> None:
    story, _ = issued()
    story.change(records=(TWO_ONE_ONE,))
    story.ask()
    assert story.steps() == ["take-next-key", "publish", "obtain"]
    assert story.dns.primary == (of_ca(0),)
    assert "cached" in story.waits(), "the old record refuses the new key"
    assert story.run(W, W)[-5:] == [*LIVE, "promote"]


def test_a_rollover_by_another_ca_certificate_under_its_record_alone() -> None:
    story, ca = issued((TWO_ONE_ONE,))
    ca.issuer = authorities()[1]
    story.ask()
    assert story.steps() == ["take-next-key", "obtain", "publish"]
    assert story.run(W, W)[-5:] == [*LIVE, "promote"]
    assert set(story.dns.primary) == {of_ca(0), of_ca(1)}, "the old key may come back while it settles"
    story.run(DAY)
    assert story.dns.primary == (of_ca(1),)


def test_a_cas_record_that_no_chain_can_have_is_said() -> None:
    story, ca = issued()
    ca.issuer = None
    renew(story)
    story.steps()
    story.change(records=(THREE_ONE_ONE, TWO_ONE_ONE))
    assert story.steps() == []
    hold = story.holds()["no-ca"]
    assert "2 1 1 is wanted" in hold.why
    assert "take that record out of the config" in hold.remedy
    story.change(records=(THREE_ONE_ONE,))
    assert story.holds() == {}


def test_a_cas_record_where_another_host_presents_the_leaf_alone_is_a_hold() -> None:
    story, _ = issued()
    bare = replace(story.live(), certificates_der=story.live().certificates_der[:1])
    story.at[THEIRS] = (bare,)
    story.later(MINUTE).look()
    story.change(records=(THREE_ONE_ONE, TWO_ONE_ONE))
    assert story.steps() == []
    hold = story.holds()["would-refuse"]
    assert THEIRS in hold.why
    assert "invariant 1" in hold.why
    assert "the CA certificates above it" in hold.remedy
