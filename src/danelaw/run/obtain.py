"""One certificate from its CA: checks first, then the order, with the web server never left stopped.

That ``post_challenge`` is owed is stored before ``pre_challenge`` runs (an open ``challenge`` effect). It runs when the
order fails, when the process is told to stop, and else first thing in any later run (`recover`).
"""

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from danelaw.errors import DanelawError, Refused, RetryLater, Stopped
from danelaw.lifecycle.keys import current_key, next_key
from danelaw.model import (
    Authority,
    CertificateSpec,
    ChainFact,
    Desired,
    Effect,
    Fact,
    Facts,
    KeyFact,
    OrderFact,
    OrderState,
)
from danelaw.pki import csr_names, csr_subject, parse_chain, requested_names
from danelaw.run.reach import check_reach, say_elsewhere
from danelaw.run.rings import Rings

WINDOW = "challenge"
"""The kind of the effect that is open while the web server may be stopped."""

TURNS = 20
"""An order has five statuses; an authority that needs more turns than this goes round in circles."""


Places = Mapping[str, Sequence[str]]
"""The addresses of each name, at any of which a CA asks."""


def preflight(rings: Rings, spec: CertificateSpec) -> Places:
    """Say before the CA does what would make an order or its deployment fail. Raises `Refused` with all of it."""
    wrong = []
    places = {}
    for name in spec.names:
        addresses, security, why = rings.dns.addresses(name)
        places[name] = addresses
        if security == "bogus":
            wrong.append(f"DNSSEC of {name} is bogus, so no CA issues for it ({why}); mend the zone's signatures or DS")
        elif not addresses:
            found = f" ({why})" if why else ""
            wrong.append(f"{name} has no address{found}, so the CA cannot check it; add A or AAAA records")
    for deployment in spec.deployments:
        wrong.extend(rings.host.writable(deployment))
    if wrong:
        raise Refused("; ".join(wrong))
    return places


def _looked_through(rings: Rings, spec: CertificateSpec, places: Places) -> bool:
    """Look whether challenges reach this host, where nothing has to be stopped for that; return whether it was done."""
    if rings.visitor is None:
        return True
    if spec.pre_challenge is not None:
        say_elsewhere(rings, spec, places)
        return False
    try:
        with rings.solver(spec) as solver:
            check_reach(rings, spec, places, solver)
    except RetryLater:  # the port is taken; an order that is proven already needs none
        return False
    return True


def obtain(rings: Rings, facts: Facts, spec: CertificateSpec, key: KeyFact) -> tuple[list[Fact], str]:
    """Carry an order to its chain; return the facts it made and the evidence. Raises `RetryLater` or `Refused`."""
    authority = rings.authorities[spec.ca]
    places = preflight(rings, spec)
    kept = _kept_order(rings, facts, authority, spec, key)
    if (kept is None or kept[0].status == "pending") and _looked_through(rings, spec, places):
        places = {}
    order, row = kept or _new_order(rings, facts, authority, spec, key)
    try:
        for _ in range(TURNS):
            if order.chain_pem is not None:
                return _obtained(rings, facts, spec, row, order.chain_pem)
            order = _advance(rings, authority, spec, order, places)
    except (RetryLater, Refused) as error:
        if _is_over(authority, order, error):
            rings.store.record([replace(row, closed_at=rings.clock.now(), problem=str(error))])
        raise
    raise Refused(f"the CA moved the order for {spec.name} {TURNS} times without an end; report this to the CA")


def _is_over(authority: Authority, order: OrderState, error: DanelawError) -> bool:
    """Tell whether an order is of no use any more: the CA judged it, and not something here was amiss.

    What went wrong before the CA had its say (a webroot that is missing, a port that is taken) leaves the order open,
    and so does silence: the next try carries it on. A refusal of what a proven order asks for, its CSR, is final.
    """
    if order.status == "invalid":
        return True
    if not isinstance(error, Refused):
        return False
    if order.status != "pending":
        return True
    try:
        return authority.advance(order, None).status == "invalid"
    except DanelawError:
        return False


def _says_the_same(spec: CertificateSpec, key: KeyFact, csr_der: bytes) -> bool:
    """Tell whether a CSR that was stored with its order is the one that would be sent now."""
    if spec.csr is None:
        subject = {field: text.strip() for field, text in spec.subject.items() if text.strip()}
        return csr_names(csr_der) == spec.names and csr_subject(csr_der) == subject
    if spec.csr.spki_der == key.spki_der:
        return csr_der == spec.csr.csr_der
    return set(requested_names(csr_der)) == set(spec.names)


def _csr(rings: Rings, facts: Facts, spec: CertificateSpec, key: KeyFact) -> bytes:
    """Return the CSR to send. Where the ready one is over another key now: the last one sent over the key in use.

    As a key's file that changes, it is told and not followed: a renewal does not wait for a person.
    """
    try:
        return rings.host.csr(key, spec)
    except Refused as refused:
        if spec.csr is None or spec.csr.spki_der == key.spki_der:
            raise
        sent = [row for row in facts.orders if (row.certificate, row.spki_sha256) == (spec.name, key.spki_sha256)]
        sent = [row for row in sent if set(requested_names(row.csr_der)) == set(spec.names)]
        if not sent:
            raise
        rings.tell("progress", f"{refused}; until then the CSR that was sent last is sent again")
        return max(sent, key=lambda row: row.opened_at).csr_der


def _kept_order(
    rings: Rings, facts: Facts, authority: Authority, spec: CertificateSpec, key: KeyFact
) -> tuple[OrderState, OrderFact] | None:
    """Return the order that an earlier run left open over the same key and names; None where there is none to use.

    One over another key of the certificate is left alone while that key is in use: an order over the next key stands
    beside one over the current key, and neither ends the other.
    """
    in_use = {each.spki_sha256 for each in (current_key(facts, spec.name), next_key(facts, spec)) if each is not None}
    for row in facts.orders:
        if row.closed_at is not None or row.certificate != spec.name:
            continue
        if row.spki_sha256 != key.spki_sha256 and row.spki_sha256 in in_use:
            continue
        problem = "the key, the names, the subject, the CSR or the CA changed"
        if (row.ca, row.spki_sha256) == (spec.ca, key.spki_sha256) and _says_the_same(spec, key, row.csr_der):
            order = authority.advance(OrderState(row.url, "pending", row.csr_der), None)
            if order.status != "invalid":
                rings.tell("progress", f"{spec.name}: carrying on the order of {row.opened_at:%Y-%m-%d %H:%M:%SZ}")
                return order, row
            problem = order.problem or "the CA gave it up"
        rings.store.record([replace(row, closed_at=rings.clock.now(), problem=problem)])
    return None


def _new_order(
    rings: Rings, facts: Facts, authority: Authority, spec: CertificateSpec, key: KeyFact
) -> tuple[OrderState, OrderFact]:
    csr_der = _csr(rings, facts, spec, key)
    order = authority.open(spec.names, csr_der)
    row = OrderFact(order.url, spec.name, spec.ca, key.spki_sha256, csr_der, rings.clock.now())
    rings.store.record([row])
    return order, row


def _advance(
    rings: Rings, authority: Authority, spec: CertificateSpec, order: OrderState, places: Places
) -> OrderState:
    """Take the order one status further; what is ready or valid already needs no listener and no stopped server.

    ``places`` are looked through first, where they have not been.
    """
    if order.status == "invalid":
        why = f" ({order.problem})" if order.problem else ""
        raise RetryLater(f"the CA gave up the order for {spec.name}{why}; a new one is opened at the next try")
    if order.status != "pending":
        rings.tell("progress", f"{spec.name}: the order is {order.status}")
        return authority.advance(order, None)
    rings.tell("progress", f"{spec.name}: the CA checks {', '.join(spec.names)} by http-01")

    def check() -> OrderState:
        with rings.solver(spec) as solver:
            if places:
                check_reach(rings, spec, places, solver)
            return authority.advance(order, solver)

    return in_challenge_window(rings, spec, check)


def in_challenge_window(rings: Rings, spec: CertificateSpec, check: Callable[[], OrderState]) -> OrderState:
    """Run ``pre_challenge``, then ``check``, then ``post_challenge``, whatever happens in between."""
    if spec.pre_challenge is None or spec.post_challenge is None:
        return check()
    argv, seconds = spec.post_challenge, spec.timeout.total_seconds()
    owed = json.dumps({"certificate": spec.name, "argv": argv, "seconds": seconds})
    window = rings.store.begin(WINDOW, spec.name, owed, rings.clock.now())
    try:
        try:
            rings.tell("progress", f"running {' '.join(spec.pre_challenge)}")
            rings.host.run(spec.pre_challenge, spec.timeout)
            order = check()
        except Exception as error:
            _pay(rings, window, spec.post_challenge, spec.timeout, f"{error}; and ")
            raise
        _pay(rings, window, spec.post_challenge, spec.timeout)
    except Stopped as stop:
        _pay_on_the_way_out(rings, window, spec.post_challenge, spec.timeout, stop)
        raise
    return order


def pay_owed(rings: Rings, desired: Desired, effect: Effect) -> None:
    """Run the ``post_challenge`` that an interrupted run owes: the config's, which may have been mended since.

    Where the config has none (any more), the one that was stored. Raises `RetryLater`.
    """
    owed = json.loads(effect.detail)
    argv, timeout = tuple(owed["argv"]), timedelta(seconds=owed["seconds"])
    spec = next((spec for spec in desired.certificates if spec.name == effect.subject), None)
    if spec is not None and spec.post_challenge is not None:
        argv, timeout = spec.post_challenge, spec.timeout
    try:
        _pay(rings, effect.id, argv, timeout)
    except Stopped as stop:
        _pay_on_the_way_out(rings, effect.id, argv, timeout, stop)
        raise


def _pay(rings: Rings, window: int, argv: Sequence[str], timeout: timedelta, before: str = "") -> None:
    rings.tell("progress", f"running {' '.join(argv)}")
    try:
        evidence = rings.host.run(argv, timeout)
    except DanelawError as error:
        owed = f"post_challenge is still owed, since it failed: {error}; danelaw recover runs it"
        raise RetryLater(f"{before}{owed}") from error
    rings.store.end(window, "done", evidence, rings.clock.now())


def _pay_on_the_way_out(rings: Rings, window: int, argv: Sequence[str], timeout: timedelta, stop: Stopped) -> None:
    """Pay where being told to stop came before the end of paying. It comes once, so nothing interrupts this."""
    if all(effect.id != window or effect.ended_at is not None for effect in rings.store.snapshot().effects):
        return
    # A socket that was being opened when the stop came is held by the frames that it unwound, and with it the port.
    traceback.clear_frames(stop.__traceback__)
    try:
        _pay(rings, window, argv, timeout)
    except DanelawError as error:
        raise Stopped(f"{stop}; {error}") from error


def _obtained(
    rings: Rings, facts: Facts, spec: CertificateSpec, row: OrderFact, chain_pem: str
) -> tuple[list[Fact], str]:
    now = rings.clock.now()
    chain = parse_chain(chain_pem)
    made: list[Fact] = [ChainFact(spec.name, chain, spec.ca, now), replace(row, closed_at=now)]
    current = current_key(facts, spec.name)
    if current is not None and chain.spki_sha256 == current.spki_sha256:  # one over the next key renews nothing
        made.extend(
            replace(intent, closed_at=now)
            for intent in facts.intents
            if (intent.certificate, intent.kind) == (spec.name, "renew") and intent.closed_at is None
        )
    return made, f"certificate {chain.leaf_sha256[:16]}…, valid until {chain.not_after:%Y-%m-%d %H:%M:%SZ}"
