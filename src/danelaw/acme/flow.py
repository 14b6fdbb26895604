"""An order from start to end (RFC 8555 section 7.4), and revocation (section 7.6).

`AcmeAuthority.advance` looks at the order first: the CA's word about its status counts, not what was stored before a
crash. Each call takes it one status further, so that the caller can store each, and stop its web server only for the
one call that needs it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from danelaw import __version__
from danelaw.acme.account import Account, account_folder, load_or_make_key
from danelaw.acme.jws import base64url
from danelaw.acme.messages import Order, parse_order
from danelaw.acme.problem import AcmeProblem, Forgotten, MalformedAnswer, Problem, failure, plain
from danelaw.acme.protocol import Answer, Session
from danelaw.acme.validation import Poll, failure_of, look, validate
from danelaw.errors import InputError, Refused
from danelaw.model import CaSpec, Clock, OrderState, Progress, Signer, Solver
from danelaw.pki import lone_common_name

if TYPE_CHECKING:
    from types import TracebackType

_PROCESSING_LIMIT = timedelta(minutes=5)
_REASONS = frozenset({0, 1, 4, 5})  # unspecified, keyCompromise, superseded, cessationOfOperation (RFC 5280 5.3.1)
_LONGEST_CHAIN = 10
_RANK = {"pending": 0, "ready": 1, "processing": 2, "valid": 3, "invalid": 4}  # RFC 8555 7.1.6: they only go up
_ABOUT_THE_CSR = frozenset({"badCSR", "unauthorized", "malformed", "rejectedIdentifier"})
_ABOUT_THE_SIGNER = frozenset({"badSignatureAlgorithm", "badPublicKey"})  # RFC 8555 section 6.2
_PEM_CHAIN = "application/pem-certificate-chain"


class AcmeAuthority:
    """One ACME CA with our account at it: `model.Authority`. Opens no connection and no file before it is used.

    ``state_dir`` keeps the account. Also a context manager, which closes the connections.
    """

    def __init__(self, ca: CaSpec, state_dir: str, clock: Clock, progress: Progress) -> None:
        self._ca = ca
        self._state_dir = state_dir
        self._clock = clock
        self._progress = progress
        self._session: Session | None = None
        self._account: Account | None = None
        self._not_before: dict[str, datetime] = {}  # orders that the CA asked us not to look at yet
        self._reached: dict[str, int] = {}  # how far we saw each order: a CA's replicas may lag behind each other

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; the next use opens new ones, and reads the CA's directory again."""
        if self._session is not None:
            self._session.close()
        self._session = self._account = None

    def open(self, names: Sequence[str], csr_der: bytes) -> OrderState:
        """Open a new order (RFC 8555 section 7.4), of status ``pending``, or ``ready`` where nothing is to be proven.

        Raises `RetryLater` or `Refused`.
        """
        session, account = self._signed_in()
        csr_spki = _spki(x509.load_der_x509_csr(csr_der))
        account_spki = session.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if csr_spki == account_spki:  # RFC 8555 section 11.1
            raise Refused(f"{self._ca.name}: the certificate's key is our ACME account's key; use another one")
        identifiers = [{"type": "dns", "value": name} for name in names]
        answer = account.post(session.directory().new_order, {"identifiers": identifiers})
        order = parse_order(answer.document(), answer.location())
        return self._state(order, OrderState(order.url, order.status, csr_der))

    def advance(self, order: OrderState, solver: Solver | None) -> OrderState:
        """Take an order one status further: validate, finalize, wait for the CA, or download.

        The order is looked at first; where its status is not the one given, that news is all that is returned. So is a
        pending order without a ``solver``: an order resumed after a crash is looked at before anything is stopped for
        it. Done is ``valid`` with ``chain_pem``. An order that was ``invalid``, or that the CA does not know (any
        more), comes back as ``invalid`` with ``problem``: open a new one. One that becomes invalid in this call raises.

        Raises `RetryLater` or `Refused`, with the CA's own words for each name that it could not validate.
        """
        if order.status == "valid" and order.chain_pem is not None:
            return order
        try:
            return self._advance(order, solver)
        except Forgotten as error:  # the order, an authorization or its certificate
            self._progress(f"{self._ca.name}: the CA does not have the order {order.url} (any more)")
            return replace(order, status="invalid", problem=str(error.problem))

    def _advance(self, order: OrderState, solver: Solver | None) -> OrderState:
        session, account = self._signed_in()
        if (not_before := self._not_before.pop(order.url, None)) is not None:
            Poll(self._clock, _PROCESSING_LIMIT, f"order {order.url}").wait(not_before)
        current, looked = self._look(order.url)
        if _RANK[current.status] < self._reached.get(order.url, 0):
            current = self._settled(current, looked, self._reached[order.url])
        if current.status != order.status or current.status == "invalid":
            return self._state(current, order)
        if current.status == "pending":
            if solver is None:
                return self._state(current, order)
            authorizations = look(current.authorizations, account)
            dead = failure_of(authorizations)
            if dead is not None:  # nothing that we do makes such an order ready, whatever the CA calls it
                return replace(order, status="invalid", problem=str(dead))
            validate(authorizations, account, session.key.public_key(), solver, self._clock, self._progress)
            return self._state(self._settled(*self._look(order.url), _RANK["ready"]), order)
        try:
            if current.status == "ready":
                return self._state(self._finalize(current, order.csr_der), order)
            if current.status == "processing":
                return self._state(self._settled(current, looked, _RANK["valid"]), order)
        except AcmeProblem as refusal:
            raise _explained(refusal, order.csr_der) from refusal
        return replace(order, chain_pem=self._download(current, order.csr_der))

    def revoke(self, leaf_der: bytes, reason: int, signer: Signer | None = None) -> None:
        """Revoke a certificate (RFC 8555 section 7.6); one revoked already is a success.

        Signed with the account's key, or by ``signer``, which has the certificate's own: that proves to the CA that the
        key is known to whoever asks, and needs no account. Where the CA takes no signatures by such a key, the account
        signs. ``reason`` is 0, 1, 4 or 5 (RFC 5280 section 5.3.1), else `InputError`. Raises `RetryLater` or `Refused`,
        and what the signer raises.
        """
        if reason not in _REASONS:
            raise InputError(
                f"revocation reason {reason}: give 0 (unspecified), 1 (keyCompromise), 4 (superseded) "
                "or 5 (cessationOfOperation)"
            )
        payload = {"certificate": base64url(leaf_der), "reason": reason}
        try:
            self._revoke(payload, signer)
        except AcmeProblem as problem:
            if problem.kind == "alreadyRevoked":
                self._progress(f"{self._ca.name}: the certificate was revoked already")
            elif signer is not None and problem.kind in _ABOUT_THE_SIGNER:
                self._progress(
                    f"{self._ca.name}: the CA takes no signature by the certificate's key; the account signs"
                )
                self.revoke(leaf_der, reason)
            else:
                raise

    def _revoke(self, payload: Mapping[str, Any], signer: Signer | None) -> None:
        session, account = self._signed_in()
        url = session.directory().revoke_cert
        if signer is None:
            account.post(url, payload)
        else:
            session.post_as(signer, url, payload)

    def _signed_in(self) -> tuple[Session, Account]:
        if self._session is None or self._account is None:
            folder = account_folder(self._state_dir, self._ca.directory)
            key = load_or_make_key(folder)
            agent = f"danelaw/{__version__}"
            self._session = Session(self._ca.directory, self._ca.ca_bundle, key, self._clock, agent, self._progress)
            self._account = Account(self._session, self._ca, folder, self._progress)
        return self._session, self._account

    def _look(self, url: str) -> tuple[Order, Answer]:
        answer = self._signed_in()[1].fetch(url)
        return parse_order(answer.document(), url), answer

    def _settled(self, order: Order, answer: Answer, rank: int) -> Order:
        """Poll until the order is as far as ``rank``; raise the CA's reason where it became invalid.

        So whatever a CA says, every call gets an order further or raises.
        """
        poll = Poll(self._clock, _PROCESSING_LIMIT, f"order {order.url}, {order.status}")
        while _RANK[order.status] < rank:
            poll.wait(answer.retry_after)
            order, answer = self._look(order.url)
        return self._alive(order)

    def _finalize(self, order: Order, csr_der: bytes) -> Order:
        """Send the CSR (RFC 8555 section 7.4)."""
        try:
            answer = self._signed_in()[1].post(order.finalize, {"csr": base64url(csr_der)})
        except AcmeProblem as problem:
            if problem.kind != "orderNotReady":
                raise
            # an earlier finalize whose answer was lost: the order says what became of it
            return self._settled(*self._look(order.url), _RANK["processing"])
        finalized = self._settled(parse_order(answer.document(), order.url), answer, _RANK["processing"])
        if finalized.status == "processing" and answer.retry_after is not None:
            self._not_before[order.url] = answer.retry_after
        return finalized

    def _alive(self, order: Order) -> Order:
        if order.status == "invalid":
            problem = order.problem or Problem("about:blank", "the CA gives no reason")
            raise failure(f"{self._ca.name}: the order became invalid", problem)
        return order

    def _state(self, order: Order, known: OrderState) -> OrderState:
        self._reached[order.url] = _RANK[order.status]
        problem = str(order.problem) if order.problem is not None else None
        return replace(known, url=order.url, status=order.status, problem=problem)

    def _download(self, order: Order, csr_der: bytes) -> str:
        """Return the default chain (RFC 8555 section 7.4.2), PEM, leaf first; alternates are not looked at."""
        if order.certificate is None:
            raise MalformedAnswer(f"order {order.url}: valid, but the CA names no certificate")
        answer = self._signed_in()[1].fetch(order.certificate, accept=_PEM_CHAIN)
        return check_chain(answer.body, csr_der, f"{self._ca.name}: {order.certificate}")


def check_chain(body: bytes, csr_der: bytes, what: str) -> str:
    """Return a downloaded chain as PEM with nothing else in it, after looking whether it is what was asked for.

    Each certificate must be signed by the next, the leaf be over the CSR's key and carry every DNS name of the CSR.
    Raises `MalformedAnswer` for what is no chain, `Refused` for another chain than the one ordered.
    """
    try:
        certificates = x509.load_pem_x509_certificates(body)
    except ValueError as error:
        raise MalformedAnswer(f"{what}: the CA did not answer with a PEM chain") from error
    if len(certificates) > _LONGEST_CHAIN:
        raise MalformedAnswer(f"{what}: the CA's chain has {len(certificates)} certificates, over {_LONGEST_CHAIN}")
    try:
        wrong = _not_as_ordered(certificates[0], x509.load_der_x509_csr(csr_der))
        for certificate, issuer in pairwise(certificates):
            certificate.verify_directly_issued_by(issuer)
    except Exception as error:  # whatever cryptography makes of hostile certificates, a bad signature among it
        words = plain(str(error)) or "bad signature"
        raise MalformedAnswer(f"{what}: the CA's chain does not hold together: {words}") from error
    if wrong is not None:
        raise Refused(f"{what}: the certificate {wrong}; nothing was used of it")
    return "".join(item.public_bytes(serialization.Encoding.PEM).decode("ascii") for item in certificates)


def _explained(refusal: AcmeProblem, csr_der: bytes) -> AcmeProblem:
    """Return a CA's refusal of a CSR with what is known to be odd about it: a common name outside of the SAN.

    RFC 8555 section 7.4 asks for identifiers in the common name, the SAN, or both: Let's Encrypt takes them together,
    others look at the SAN alone, and then say of the CSR that it has other names than the order.
    """
    common = lone_common_name(csr_der)
    if common is None or refusal.kind not in _ABOUT_THE_CSR:
        return refusal
    said = str(refusal).removesuffix(f"; {refusal.problem.remedy}")
    return AcmeProblem(
        f'{said}; the CSR has the common name "{common}", which is not among its alternative names, '
        f"and not every CA takes that: make it again with DNS:{common} in subjectAltName, or order from another CA",
        refusal.problem,
    )


def _not_as_ordered(leaf: x509.Certificate, csr: x509.CertificateSigningRequest) -> str | None:
    common = lone_common_name(csr.public_bytes(serialization.Encoding.DER))
    if _spki(leaf) != _spki(csr):
        return "is over another key than the one ordered"
    missing = sorted({*_dns_names(csr), *([common] if common else [])} - _dns_names(leaf))
    return f"lacks {', '.join(missing)}" if missing else None


def _spki(owner: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    return owner.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _dns_names(owner: x509.Certificate | x509.CertificateSigningRequest) -> set[str]:
    try:
        names = owner.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {name.lower() for name in names.get_values_for_type(x509.DNSName)}
