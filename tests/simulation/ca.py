"""A CA: takes its time, refuses, limits, fails, and loses answers after it has done what was asked."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import Literal

from danelaw.errors import Refused, RetryLater
from danelaw.model import CertificateSpec, Chain, OrderState, Signer, Solver
from simulation.faults import Faults, nobody
from simulation.machine import WebServer
from simulation.mint import Mint, as_pem, key_of_csr
from simulation.timeline import Timeline

Status = Literal["pending", "ready", "processing", "valid", "invalid"]

Dislike = Literal["refused", "limited", "invalid", "lost"]
"""What becomes of orders over a key: refused at once, told to come back, made invalid in the end, or unanswered."""

MOST_A_WEEK = 5
"""Let's Encrypt's limit of certificates for one set of names in seven days."""

WEEK = timedelta(days=7)


@dataclass
class CaOrder:
    """An order as the CA has it. An order that nobody finalizes is forgotten after a week."""

    names: tuple[str, ...]
    status: Status
    opened_at: datetime
    chain: Chain | None = None


class SimAuthority:
    """`model.Authority`: each call looks first, then moves the order by one status, like `danelaw.acme`."""

    def __init__(self, rng: Random, timeline: Timeline, faults: Faults, mint: Mint, lifetime: timedelta) -> None:
        self._rng = rng
        self._timeline = timeline
        self._faults = faults
        self._mint = mint
        self.lifetime = lifetime
        self.orders: dict[str, CaOrder] = {}
        self.issued: list[tuple[datetime, Chain]] = []
        self._proven_until: datetime | None = None
        self.revoked: dict[str, tuple[datetime, int]] = {}
        self.blocked: set[str] = set()
        """Keys of certificates that were revoked for keyCompromise."""
        self.limits = False
        self.dislikes: Callable[[str], Dislike | None] = nobody
        """What becomes of orders over a key just now."""
        self.objects: Callable[[str, int], str | None] = nobody
        """Says why a certificate should not be revoked now; what it says is kept in ``wrong``."""
        self.wrong: list[str] = []

    def open(self, names: Sequence[str], csr_der: bytes) -> OrderState:
        self._fail("open")
        self._refuse(names, csr_der)
        url = f"https://ca.test/order/{len(self.orders) + 1}"
        proven = self._proven_until is not None and self._timeline.now < self._proven_until
        self.orders[url] = CaOrder(tuple(names), "ready" if proven else "pending", self._timeline.now)
        self._lose("open")
        return OrderState(url, self.orders[url].status, csr_der)

    def advance(self, order: OrderState, solver: Solver | None) -> OrderState:
        self._fail("advance")
        current = self.orders[order.url]
        if current.status != "valid" and self._timeline.now - current.opened_at > timedelta(days=7):
            current.status = "invalid"
        if current.status != order.status or current.status == "invalid":
            return self._state(order, current)
        match current.status:
            case "pending" if solver is None:
                return self._state(order, current)
            case "pending":
                assert solver is not None
                self._validate(current, solver)
            case "ready":
                self._timeline.spend(self._rng.uniform(0.2, 5))
                self._issue(current, order.csr_der)
            case "processing":
                self._timeline.spend(self._rng.uniform(1, 60))
                current.status = "valid"
            case "valid":
                assert current.chain is not None
                return replace(order, chain_pem=as_pem(current.chain))
        self._lose("advance")
        return self._state(order, current)

    def _validate(self, order: CaOrder, solver: Solver) -> None:
        for name in order.names:
            solver.present(name, "token", "token.thumbprint")
        self._timeline.spend(self._rng.uniform(1, 30))
        if self._faults.strikes("the CA cannot validate", 0.08):
            order.status = "invalid"
            raise RetryLater("the CA could not fetch http://mail.example.org/.well-known/acme-challenge/token")
        order.status = "ready"
        if self._rng.random() < 0.5:
            self._proven_until = self._timeline.now + timedelta(days=30)

    def _refuse(self, names: Sequence[str], csr_der: bytes) -> None:
        """Refuse a key that is blocked or disliked, and more certificates than are allowed."""
        spki = hashlib.sha256(key_of_csr(csr_der)).hexdigest()
        if spki in self.blocked:
            raise Refused("badPublicKey: the key is known to be compromised")
        match self.dislikes(spki):
            case "refused":
                self._faults.counts["an order over the next key is refused"] += 1
                raise Refused("rejectedIdentifier: not over this key")
            case "limited":
                self._faults.counts["an order over the next key is limited"] += 1
                raise RetryLater("rateLimited", self._timeline.wall + timedelta(hours=self._rng.uniform(0.1, 30)))
            case "lost":
                self._faults.counts["an order over the next key is lost"] += 1
                raise RetryLater("open: connection reset")
        now = self._timeline.now
        lately = [at for at, chain in self.issued if set(chain.names) == set(names) and now - at < WEEK]
        if self.limits and len(lately) >= MOST_A_WEEK:
            self._faults.counts["the CA limits"] += 1
            raise RetryLater("rateLimited", self._timeline.wall + (lately[-MOST_A_WEEK] + WEEK - now))

    def revoke(self, leaf_der: bytes, reason: int, signer: Signer | None = None) -> None:
        """Revoke; by its own key every certificate over it (rules: Let's Encrypt takes that for keyCompromise)."""
        self._fail("revoke")
        leaf = hashlib.sha256(leaf_der).hexdigest()
        chain = next(chain for _, chain in self.issued if chain.leaf_sha256 == leaf)
        alike = [chain]
        if signer is not None:
            assert signer.spki_der == chain.spki_der, "signed by another key than the certificate's"
            assert signer.signature(b"a request"), "a signature"
            reason = 1
        if reason == 1:
            self.blocked.add(chain.spki_sha256)
            alike = [other for _, other in self.issued if other.spki_sha256 == chain.spki_sha256]
        for each in alike:
            if why := self.objects(each.leaf_sha256, reason):
                self.wrong.append(f"{self._timeline.now}: {each.leaf_sha256[:12]}… is revoked, and {why}")
            self.revoked.setdefault(each.leaf_sha256, (self._timeline.now, reason))
        self._lose("revoke")

    def _issue(self, order: CaOrder, csr_der: bytes) -> None:
        if self.dislikes(hashlib.sha256(key_of_csr(csr_der)).hexdigest()) == "invalid":
            self._faults.counts["an order over the next key is made invalid"] += 1
            order.status = "invalid"
            return
        order.chain = self._mint.chain(csr_der, order.names, self._timeline.now, self.lifetime)
        self.issued.append((self._timeline.now, order.chain))
        order.status = "processing" if self._rng.random() < 0.3 else "valid"

    def _fail(self, what: str) -> None:
        self._timeline.spend(self._rng.uniform(0.05, 1))
        if self._faults.strikes("the CA is overloaded", 0.04):
            later = self._timeline.wall + timedelta(minutes=self._rng.uniform(1, 200))
            raise RetryLater(f"{what}: 503", later if self._rng.random() < 0.5 else None)
        if self._faults.strikes("the CA refuses", 0.02):
            raise Refused(f"{what}: the account is not allowed to do this now")

    def _lose(self, what: str) -> None:
        if self._faults.strikes("the CA's answer is lost", 0.04):
            raise RetryLater(f"{what}: connection reset")

    @staticmethod
    def _state(order: OrderState, current: CaOrder) -> OrderState:
        problem = "it expired or could not be validated" if current.status == "invalid" else None
        return replace(order, status=current.status, problem=problem)


class SimSolver(AbstractContextManager[Solver]):
    """`model.Solver` behind our own listener, which needs the web server's port."""

    def __init__(self, web: WebServer, spec: CertificateSpec) -> None:
        self._web = web
        self._needs_port = spec.pre_challenge is not None

    def __enter__(self) -> Solver:
        if self._needs_port:
            self._web.refuse_if_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def present(self, domain: str, token: str, key_authorization: str) -> None:
        del domain, token, key_authorization
        if self._needs_port:
            self._web.refuse_if_up()

    def clean_up(self, domain: str, token: str) -> None:
        del domain, token
