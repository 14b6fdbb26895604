"""An order from start to end, with everything that a CA can do to it on the way."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from danelaw.acme import AcmeAuthority
from danelaw.acme.problem import MalformedAnswer
from danelaw.acme.validation import Poll
from danelaw.deploy.signer import KeySigner
from danelaw.errors import InputError, Refused, RetryLater, Stopped
from danelaw.model import Authority, OrderState
from fakes import openssl_files
from fakes.acme_ca import LOST, RESET, FakeCa, Reply, public, refused
from fakes.acme_ca import said as answered
from fakes.acme_surroundings import JumpingClock, MemorySolver, Said, new_csr

NAMES = ("mail.example.test", "example.test")
ERROR = "urn:ietf:params:acme:error:"


def finish(authority: Authority, order: OrderState, solver: MemorySolver | None) -> tuple[OrderState, list[str]]:
    statuses: list[str] = [order.status]
    while order.chain_pem is None:
        order = authority.advance(order, solver if order.status == "pending" else None)
        statuses.append(order.status)
        assert len(statuses) < 12, statuses
    return order, statuses


# ---- the way it goes well


def test_an_order_goes_one_status_further_per_call(authority: AcmeAuthority, solver: MemorySolver) -> None:
    csr = new_csr(*NAMES)
    order, statuses = finish(authority, authority.open(NAMES, csr), solver)
    assert statuses == ["pending", "ready", "valid", "valid"]
    assert order.chain_pem is not None
    leaf, root = x509.load_pem_x509_certificates(order.chain_pem.encode())
    assert leaf.public_key() == x509.load_der_x509_csr(csr).public_key()
    leaf.verify_directly_issued_by(root)
    assert authority.advance(order, None) is order


def test_all_answers_are_there_before_the_first_is_asked_for_and_all_go_away(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, said: Said
) -> None:
    ca.polls = 3
    finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)
    assert solver.events == [f"present {name}" for name in NAMES] + [f"clean up {name}" for name in NAMES]
    assert solver.answers == {}
    assert said.lines == ["test: making an account", f"the CA validates {', '.join(NAMES)}"]


def test_names_that_are_proven_already_are_left_out(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    ca.proven = {NAMES[0]}
    finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)
    assert solver.events == [f"present {NAMES[1]}", f"clean up {NAMES[1]}"]


def test_an_order_that_is_ready_at_once_needs_no_solver(ca: FakeCa, authority: AcmeAuthority) -> None:
    ca.proven = set(NAMES)
    _, statuses = finish(authority, authority.open(NAMES, new_csr(*NAMES)), None)
    assert statuses == ["ready", "valid", "valid"]
    assert ca.count("POST authz") == 0


def test_challenges_that_nobody_knows_are_ignored(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    ca.extra_challenges = [
        {"type": "dns-persist-01", "url": f"{ca.url}/x", "status": "pending", "issuer-domain-names": ["ca.test"]},
        {"type": "http-01", "url": "gopher://x", "token": "x"},
        {"type": 7},
        "nonsense",
    ]
    finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)


@pytest.mark.parametrize("value", ["7", "Tue, 24 Nov 2026 12:00:07 GMT"])
def test_polling_waits_as_long_as_the_ca_says(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, clock: JumpingClock, value: str
) -> None:
    ca.polls, ca.poll_headers = 1, {"Retry-After": value}
    authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    assert clock.slept == [timedelta(seconds=7)]


def test_polling_without_advice_starts_fast_and_slows_down(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, clock: JumpingClock
) -> None:
    ca.polls = 12
    authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    assert clock.slept[0] == timedelta(seconds=0.025)
    assert all(first <= second for first, second in pairwise(clock.slept))
    assert clock.slept[-1] == timedelta(seconds=10)


def test_a_finalized_order_is_polled_after_the_time_that_the_ca_named(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, clock: JumpingClock
) -> None:
    ca.proven, ca.polls, ca.poll_headers = set(NAMES), 2, {"Retry-After": "4"}
    order, statuses = finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)
    assert statuses == ["ready", "processing", "valid", "valid"]
    assert clock.slept == [timedelta(seconds=4)] * 3
    assert order.chain_pem is not None


# ---- crashes and lost answers


def test_an_order_is_carried_on_by_another_run_from_any_status(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    for status in ("ready", "valid"):
        # what the next run knows is the URL and the CSR; it guesses "pending" and asks without a solver
        resumed = OrderState(order.url, "pending", order.csr_der)
        assert authority.advance(resumed, None).status == order.status
        order = authority.advance(order, solver)
        assert order.status == status
    assert authority.advance(OrderState(order.url, "pending", order.csr_der), None).status == "valid"
    assert ca.count("POST new-order") == 1


def test_a_pending_order_is_not_touched_without_a_solver(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    assert authority.advance(order, None) == order
    assert ca.count("POST authz") == 0
    assert solver.events == []


def test_a_challenge_that_was_announced_before_a_crash_is_presented_again_and_not_announced_again(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    ca.polls = 1
    order = authority.open(NAMES, new_csr(*NAMES))
    for authorization in ca.authorizations.values():
        authorization["challenges"][0]["status"] = "processing"
    finish(authority, order, solver)
    assert ca.count("POST chall") == 0


@pytest.mark.parametrize("resource", ["new-account", "new-order", "order", "authz", "chall", "order/finalize", "cert"])
@pytest.mark.parametrize(
    "fault", [LOST, RESET, Reply(500), refused("badNonce", "again")], ids=["lost", "reset", "500", "nonce"]
)
def test_no_single_fault_spoils_an_order(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, resource: str, fault: Reply
) -> None:
    ca.faults[resource] = [fault]
    order, _ = finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)
    assert order.chain_pem is not None
    assert ca.faults[resource] == []
    assert len(ca.accounts) == 1
    assert len(ca.certificates) == 1


@pytest.mark.parametrize("behind", ["pending", "ready"])
def test_a_replica_of_the_ca_that_lags_is_waited_for(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, behind: str
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    for _ in range(2):
        order = authority.advance(order, solver)
    ca.faults["order"] = [answered(200, {**public(ca.orders[order.url]), "status": behind, "certificate": None})] * 3
    before = len(solver.events)
    assert authority.advance(order, solver).chain_pem is not None
    assert len(solver.events) == before


@pytest.mark.parametrize("resource", ["order", "order/finalize"])
def test_a_ca_that_turns_in_circles_does_not_make_us_turn(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, resource: str
) -> None:
    order = authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    ready = public(ca.orders[order.url])
    ca.faults["order"] = [answered(200, ready)] * 1000
    ca.faults[resource] = [answered(200, ready)] * 1000
    with pytest.raises(RetryLater, match="the CA is not done yet"):
        finish(authority, order, solver)


class SetBack(JumpingClock):
    """A clock that is set back by an hour each time somebody has slept."""

    def now(self) -> datetime:
        return super().now() - len(self.slept) * timedelta(hours=1)

    def sleep_until(self, at: datetime) -> None:
        super().sleep_until(at + len(self.slept) * timedelta(hours=1))


@pytest.mark.parametrize("clock", [JumpingClock(), SetBack()])
def test_a_limit_is_what_has_passed_and_not_what_the_clock_says(clock: JumpingClock) -> None:
    poll = Poll(clock, timedelta(minutes=5), "an order")
    with suppress(RetryLater):
        for _ in range(100):
            poll.wait(None)
    assert timedelta(minutes=4) < sum(clock.slept, timedelta(0)) <= timedelta(minutes=5)


def test_an_order_that_is_further_than_we_knew_does_not_touch_the_solver(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.orders[order.url]["status"] = "ready"
    assert authority.advance(order, solver).status == "ready"
    assert solver.events == []


def test_an_order_that_the_ca_forgot_is_over(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.orders.clear()
    after = authority.advance(order, solver)
    assert (after.status, after.problem) == ("invalid", "malformed: no such order")
    assert solver.events == []


@pytest.mark.parametrize("status", ["invalid", "deactivated", "expired", "revoked"])
def test_a_pending_order_with_a_dead_authorization_is_over_before_anything_is_presented(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, status: str
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.faults["order"] = [answered(200, {**ca.orders[order.url], "status": "pending"})]
    list(ca.authorizations.values())[1]["status"] = status
    after = authority.advance(order, solver)
    assert after.status == "invalid"
    assert after.problem == f"the CA could not validate example.test: its authorization is {status}"
    assert solver.events == []


@pytest.mark.parametrize(("resource", "steps"), [("authz", 0), ("cert", 2)])
@pytest.mark.parametrize("status", [404, 410])
def test_an_order_without_its_authorization_or_certificate_is_over(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, resource: str, steps: int, status: int
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    for _ in range(steps):
        order = authority.advance(order, solver)
    ca.faults[resource] = [refused("malformed", "expired and gone", status)]
    after = authority.advance(order, solver)
    assert (after.status, after.problem) == ("invalid", "malformed: expired and gone")
    assert solver.answers == {}


def test_a_finalization_that_is_not_authorized_is_no_forgotten_order(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    ca.faults["order/finalize"] = [refused("unauthorized", "not for these names", 403)]
    with pytest.raises(Refused, match="not for these names"):
        authority.advance(order, None)


def test_an_order_that_is_somebody_elses_now_is_over(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.faults["order"] = [refused("unauthorized", "not your order", 403)]
    assert authority.advance(order, solver).status == "invalid"


# ---- no


def test_a_failed_validation_has_the_cas_words_for_each_name_and_cleans_up(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.lookup = MemorySolver().lookup
    with pytest.raises(Refused) as caught:
        authority.advance(order, solver)
    for name in NAMES:
        assert f"{name}: unauthorized: expected" in str(caught.value)
        assert f"(http://{name}/.well-known/acme-challenge/ must be answered by this host" in str(caught.value)
    assert solver.answers == {}
    assert authority.advance(order, None).status == "invalid"


@pytest.mark.parametrize(("kind", "error"), [("dns", RetryLater), ("connection", RetryLater), ("caa", Refused)])
def test_a_failed_validation_is_tried_again_where_time_may_cure_it(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, kind: str, error: type[Exception]
) -> None:
    ca.challenge_error = {
        "type": ERROR + "compound",
        "detail": "several",
        "subproblems": [
            {"type": ERROR + kind, "detail": "SERVFAIL at 192.0.2.1", "identifier": {"type": "dns", "value": "a"}}
        ],
    }
    with pytest.raises(error, match=rf"a: {kind}: SERVFAIL at 192\.0\.2\.1 \("):
        authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)


def test_a_validation_that_takes_too_long_is_left_and_cleaned_up(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, clock: JumpingClock
) -> None:
    ca.polls = 10**6
    began = clock.now()
    order = authority.open(NAMES, new_csr(*NAMES))
    with pytest.raises(RetryLater, match=r"validation of mail\.example\.test, example\.test: the CA is not done yet"):
        authority.advance(order, solver)
    assert timedelta(minutes=4) < clock.now() - began <= timedelta(minutes=5)
    assert solver.answers == {}


def test_a_wait_beyond_patience_is_the_callers(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    ca.polls, ca.poll_headers = 1, {"Retry-After": "3600"}
    with pytest.raises(RetryLater) as caught:
        authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    assert caught.value.not_before == datetime(2026, 11, 24, 13, tzinfo=UTC)


def test_being_stopped_while_polling_cleans_up(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, clock: JumpingClock
) -> None:
    ca.polls = 1
    order = authority.open(NAMES, new_csr(*NAMES))
    clock.stopped = Stopped("SIGTERM")
    with pytest.raises(Stopped):
        authority.advance(order, solver)
    assert solver.answers == {}


def test_a_solver_that_fails_half_way_takes_back_what_it_did(ca: FakeCa, authority: AcmeAuthority) -> None:
    class Half(MemorySolver):
        def present(self, domain: str, token: str, key_authorization: str) -> None:
            super().present(domain, token, key_authorization)
            if domain == NAMES[1]:
                raise Refused("disk full")

        def clean_up(self, domain: str, token: str) -> None:
            super().clean_up(domain, token)
            raise Refused("still full")

    half = Half()
    with pytest.raises(Refused, match="disk full"):
        authority.advance(authority.open(NAMES, new_csr(*NAMES)), half)
    assert half.answers == {}
    assert ca.count("POST chall") == 0


@pytest.mark.parametrize("token", ["../../../etc/passwd", "", "a b", "a/b", "x" * 300, "tok\x00en"])
def test_a_token_that_is_a_path_reaches_no_solver(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, token: str
) -> None:
    ca.token = token
    with pytest.raises(MalformedAnswer, match="not base64url"):
        authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    assert solver.events == []


def test_a_challenge_that_the_ca_refuses_is_said(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    ca.faults["chall"] = [refused("malformed", "go away")]
    with pytest.raises(Refused, match="go away"):
        authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    assert solver.answers == {}


def test_an_order_that_becomes_invalid_raises_once_with_the_reason(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    ca.order_error = {"type": ERROR + "caa", "detail": "CAA record forbids issuance"}
    order = authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    with pytest.raises(Refused, match="the order became invalid: caa: CAA record forbids issuance; let the CAA"):
        authority.advance(order, None)
    after = authority.advance(order, None)
    assert (after.status, after.problem) == ("invalid", "caa: CAA record forbids issuance")


def test_a_csr_that_the_ca_refuses_is_said(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    order = authority.advance(authority.open(NAMES, new_csr(*NAMES)), solver)
    ca.faults["order/finalize"] = [refused("badCSR", "weak key")]
    with pytest.raises(Refused, match=r"weak key; look at the certificate's names and subject"):
        authority.advance(order, None)


def lone() -> bytes:
    """Return a CSR whose common name is not among its alternative names, as RFC 8555 section 7.4 lets it be."""
    key = openssl_files.curve()
    return openssl_files.csr(key, "-outform", "DER", subject="/CN=example.test", san="DNS:mail.example.test")


@pytest.mark.parametrize("kind", ["badCSR", "unauthorized", "malformed"])
def test_a_ca_that_does_not_take_a_common_name_alone_is_explained(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, kind: str
) -> None:
    explanation = (
        'the CSR has the common name "example.test", which is not among its alternative names, and not every CA takes '
        "that: make it again with DNS:example.test in subjectAltName, or order from another CA"
    )
    for csr, explained in ((lone(), True), (new_csr(*NAMES), False)):
        order = authority.advance(authority.open(NAMES, csr), solver)
        ca.faults["order/finalize"] = [refused(kind, "other names than the order", 403)]
        with pytest.raises(Refused, match="other names than the order") as said:
            authority.advance(order, None)
        assert str(said.value).endswith(explanation) == explained
        assert "; look at the certificate's names" not in str(said.value) or not explained


def test_a_ca_that_finds_out_later_is_explained_too(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    ca.order_error = {"type": ERROR + "badCSR", "detail": "it has no such name"}
    order = authority.advance(authority.open(NAMES, lone()), solver)
    with pytest.raises(
        Refused, match=r'it has no such name; the CSR has the common name "example\.test", which is not'
    ):
        authority.advance(order, None)


def test_a_refusal_of_another_kind_is_not_explained_by_the_common_name(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    order = authority.advance(authority.open(NAMES, lone()), solver)
    ca.faults["order/finalize"] = [refused("caa", "CAA forbids it", 403)]
    with pytest.raises(Refused, match="CAA forbids it") as said:
        authority.advance(order, None)
    assert "common name" not in str(said.value)


def test_a_ca_that_takes_it_must_have_put_it_into_the_certificate(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    assert finish(authority, authority.open(NAMES, lone()), solver)[0].chain_pem is not None
    ca.chain_names = ["mail.example.test"]
    with pytest.raises(Refused, match=r"the certificate lacks example\.test"):
        finish(authority, authority.open(NAMES, lone()), solver)


def test_a_rate_limit_at_the_order_says_when(ca: FakeCa, authority: AcmeAuthority) -> None:
    ca.faults["new-order"] = [refused("rateLimited", "5 per week", 429, Retry_After="86400")]
    with pytest.raises(RetryLater, match="5 per week") as caught:
        authority.open(NAMES, new_csr(*NAMES))
    assert caught.value.not_before == datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("resource", "document"),
    [
        ("order", {"status": "pending"}),
        ("order", {"status": "odd", "authorizations": [], "finalize": "https://ca.test/f"}),
        ("order", {"status": "ready", "authorizations": ["file:///etc/passwd"], "finalize": "https://ca.test/f"}),
        ("order", {"status": "ready", "authorizations": [], "finalize": "http://ca.test/f"}),
        ("order", []),
        ("authz", {"status": "pending", "challenges": []}),
        ("authz", {"status": "pending", "identifier": {"value": "a"}, "challenges": {}}),
        ("authz", {"status": "new", "identifier": {"value": "a"}, "challenges": []}),
    ],
)
def test_an_object_without_its_members_is_one_clear_error(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, resource: str, document: object
) -> None:
    order = authority.open(NAMES, new_csr(*NAMES))
    ca.faults[resource] = [answered(200, document)]
    with pytest.raises(MalformedAnswer):
        authority.advance(order, solver)


# ---- the chain


def issued(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, csr: bytes) -> OrderState:
    """Return an order that is valid and not yet downloaded."""
    order = authority.open(NAMES, csr)
    for _ in range(2):
        order = authority.advance(order, solver)
    assert order.status == "valid"
    assert len(ca.certificates) == 1
    return order


def test_a_certificate_over_another_key_is_not_used(ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver) -> None:
    ca.chain_key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(Refused, match="over another key than the one ordered"):
        authority.advance(issued(ca, authority, solver, new_csr(*NAMES)), None)


def test_a_certificate_that_lacks_a_name_is_not_used(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    ca.chain_names = [NAMES[0]]
    with pytest.raises(Refused, match=r"the certificate lacks example\.test;"):
        authority.advance(issued(ca, authority, solver, new_csr(*NAMES)), None)


def test_the_chain_holds_certificates_and_nothing_else(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver
) -> None:
    ca.chain_suffix = b"\n# \x1b[31mhostile\n"
    order = authority.advance(issued(ca, authority, solver, new_csr(*NAMES)), None)
    assert order.chain_pem is not None
    assert order.chain_pem.count("-----BEGIN CERTIFICATE-----\n") == 2
    assert "hostile" not in order.chain_pem


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"<html>sorry</html>",
        lambda pem: pem * 20,
        lambda pem: pem.replace(b"M", b"N", 1),
        lambda pem: pem + pem,
        lambda pem: pem + b"x" * (1 << 20),
    ],
    ids=["empty", "html", "too long", "damaged", "out of order", "oversized"],
)
def test_what_is_no_chain_is_one_clear_error(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, change: object
) -> None:
    order = issued(ca, authority, solver, new_csr(*NAMES))
    assert callable(change)
    for url, pem in ca.certificates.items():
        ca.certificates[url] = change(pem)
    with pytest.raises(MalformedAnswer) as caught:
        authority.advance(order, None)
    assert len(str(caught.value)) < 300


# ---- revocation


def test_a_certificate_is_revoked_and_once_more_is_a_success_that_is_said(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, said: Said
) -> None:
    order, _ = finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)
    assert order.chain_pem is not None
    leaf = x509.load_pem_x509_certificate(order.chain_pem.encode()).public_bytes(serialization.Encoding.DER)
    ca.faults["revoke"] = [LOST]
    authority.revoke(leaf, 1)
    assert ca.revoked == {leaf}
    assert said.lines[-1] == "test: the certificate was revoked already"
    assert ("revoke", 1) in [(kind, payload.get("reason")) for kind, payload in ca.payloads if kind == "revoke"]


def test_a_certificates_own_key_revokes_it_without_the_account_and_another_key_does_not(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, said: Said
) -> None:
    """RFC 8555 section 7.6: whoever has the key may revoke, so an account that is lost is no obstacle."""
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    order, _ = finish(authority, authority.open(NAMES, new_csr(*NAMES, key=key)), solver)
    assert order.chain_pem is not None
    leaf = x509.load_pem_x509_certificate(order.chain_pem.encode()).public_bytes(serialization.Encoding.DER)
    ca.accounts.clear()
    with pytest.raises(Refused, match="unauthorized: signed by neither the account nor the certificate's key"):
        authority.revoke(leaf, 1, KeySigner(other))
    assert ca.revoked == set()
    ca.faults["revoke"] = [refused("badNonce", "another one"), LOST]
    authority.revoke(leaf, 1, KeySigner(key))
    assert ca.revoked == {leaf}
    assert said.lines[-1] == "test: the certificate was revoked already"  # the answer to the first was lost
    assert ca.accounts == {}


@pytest.mark.parametrize("kind", ["badSignatureAlgorithm", "badPublicKey"])
def test_where_the_ca_takes_no_signature_by_such_a_key_the_account_signs(
    ca: FakeCa, authority: AcmeAuthority, solver: MemorySolver, said: Said, kind: str
) -> None:
    order, _ = finish(authority, authority.open(NAMES, new_csr(*NAMES)), solver)
    assert order.chain_pem is not None
    leaf = x509.load_pem_x509_certificate(order.chain_pem.encode()).public_bytes(serialization.Encoding.DER)
    signer = KeySigner(ec.generate_private_key(ec.SECP384R1()))
    ca.faults["revoke"] = [refused(kind, "ES256 alone, please")]
    authority.revoke(leaf, 1, signer)
    assert ca.revoked == {leaf}
    assert said.lines[-1] == "test: the CA takes no signature by the certificate's key; the account signs"
    ca.faults["revoke"] = [refused(kind, "of nobody")] * 2
    with pytest.raises(Refused, match=kind):  # of the account's own there is no way round
        authority.revoke(leaf, 1, signer)


@pytest.mark.parametrize("reason", [-1, 2, 3, 6, 8, 9, 10])
def test_other_reasons_reach_no_ca(ca: FakeCa, authority: AcmeAuthority, reason: int) -> None:
    with pytest.raises(InputError, match="give 0 "):
        authority.revoke(b"", reason)
    assert ca.requests == []


def test_a_revocation_that_the_ca_refuses_is_said(ca: FakeCa, authority: AcmeAuthority) -> None:
    ca.faults["revoke"] = [refused("unauthorized", "not yours", 403)]
    with pytest.raises(Refused, match="not yours"):
        authority.revoke(b"certificate", 0)
