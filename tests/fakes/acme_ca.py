"""A small ACME CA on loopback, written for tests: it checks every signature, nonce and URL, and fails as it is told to.

It validates by asking ``lookup`` (a solver's memory), works in steps that polls count rather than in time, and knows
nothing of danelaw: what it computes, it computes itself from RFC 8555.
"""

import base64
import hashlib
import http.server
import itertools
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import NameOID

ERROR = "urn:ietf:params:acme:error:"
Json = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What the CA answers; ``fault`` in place of it: ``reset`` hangs up first, ``lost`` works and then hangs up."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


RESET = Reply(fault="reset")
LOST = Reply(fault="lost")


def said(status: int, document: object, **headers: str) -> Reply:
    """A JSON reply; header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json", **named})


def refused(kind: str, detail: str, status: int = 400, **headers: str) -> Reply:
    return said(status, {"type": ERROR + kind, "detail": detail, "status": status}, **headers)


class FakeCa:
    """Start it as a context manager. Every list and dict is there to be looked at or changed by a test."""

    def __init__(self) -> None:
        self.lookup: Callable[[str, str], str | None] = _nothing  # (domain, token) -> key authorization
        self.faults: dict[str, list[Reply]] = {}  # by the kind of resource: "new-order", "nonce", "dir" …
        self.requests: list[str] = []  # "POST new-order" …
        self.payloads: list[tuple[str, Any]] = []
        self.accounts: dict[str, Json] = {}
        self.orders: dict[str, Json] = {}
        self.authorizations: dict[str, Json] = {}
        self.certificates: dict[str, bytes] = {}
        self.revoked: set[bytes] = set()
        self.nonces: set[str] = set()
        self.meta: Json = {"termsOfService": "https://ca.test/terms"}
        self.polls = 0  # looks at an authorization or an order until the CA is done with it
        self.poll_headers: dict[str, str] = {}
        self.proven: set[str] = set()  # names that need no validation
        self.challenge_error: Json | None = None
        self.extra_challenges: list[object] = []
        self.token = "A" * 43
        self.order_error: Json | None = None
        self.chain_key: ec.EllipticCurvePublicKey | None = None
        self.chain_names: list[str] | None = None
        self.chain_suffix = b""
        self._numbers = itertools.count(1)
        self._root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = _certificate("fake root", self._root_key.public_key(), self._root_key, None)
        ca = self

        class Handler(_Handler):
            fake = ca

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.directory = f"{self.url}/dir"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, request: str) -> int:
        return self.requests.count(request)

    def new_nonce(self) -> str:
        nonce = f"nonce-{next(self._numbers)}"
        self.nonces.add(nonce)
        return nonce

    # ---- one request

    def serve(self, method: str, path: str, body: bytes) -> Reply:
        kind = re.sub(r"/[0-9]+", "", path).strip("/")
        self.requests.append(f"{method} {kind}")
        queued = self.faults.get(kind, [])
        fault = queued.pop(0) if queued else None
        if fault is not None and fault.fault != "lost":
            return fault
        reply = self._work(method, kind, path, body)
        return LOST if fault is not None else reply

    def _work(self, method: str, kind: str, path: str, body: bytes) -> Reply:
        if kind == "dir":
            names = {"newNonce": "nonce", "newAccount": "new-account", "newOrder": "new-order", "revokeCert": "revoke"}
            return said(200, {"meta": self.meta, **{key: f"{self.url}/{name}" for key, name in names.items()}})
        if kind == "nonce":
            return Reply(200 if method == "HEAD" else 204, headers={"Replay-Nonce": self.new_nonce()})
        if method != "POST":
            return refused("malformed", f"{method} is not for {path}", 405)
        checked = self._check(self.url + path, body)
        if isinstance(checked, Reply):
            return checked
        account, payload = checked
        self.payloads.append((kind, payload))
        work = getattr(self, "_" + kind.replace("-", "_").replace("/", "_"), None)
        return work(account, payload, path) if work else Reply(404, b"<html>not here</html>")

    def _check(self, url: str, body: bytes) -> tuple[Json, Any] | Reply:
        """Verify a JWS (RFC 8555 section 6.2); return the account (or a stub with its jwk) and the payload."""
        jws = json.loads(body)
        if set(jws) != {"protected", "payload", "signature"}:
            return refused("malformed", "not a flattened JWS")
        header = json.loads(_decode(jws["protected"]))
        if header["nonce"] not in self.nonces:
            return refused("badNonce", "not a nonce of mine")
        self.nonces.remove(header["nonce"])
        if header["url"] != url:
            return refused("unauthorized", "signed for another URL", 403)
        if ("jwk" in header) == ("kid" in header):
            return refused("malformed", "jwk or kid")
        if "kid" in header and header["kid"] not in self.accounts:
            return refused("accountDoesNotExist", f"no account {header['kid']}")
        account = self.accounts[header["kid"]] if "kid" in header else {"jwk": header["jwk"], "kid": None}
        try:
            _verify(account["jwk"], header["alg"], f"{jws['protected']}.{jws['payload']}", _decode(jws["signature"]))
        except InvalidSignature:
            return refused("malformed", "bad signature")
        payload = _decode(jws["payload"])
        return account, json.loads(payload) if payload else None

    # ---- resources

    def _new_account(self, account: Json, payload: Json, _: str) -> Reply:
        known = next((kid for kid, item in self.accounts.items() if item["jwk"] == account["jwk"]), None)
        if known is None and payload.get("onlyReturnExisting"):
            return refused("accountDoesNotExist", "no account with that key")
        if known is not None:
            return said(200, self._account(known), Location=known)
        if not payload.get("termsOfServiceAgreed"):
            return refused("userActionRequired", "agree to the terms", 403)
        kid = f"{self.url}/acct/{next(self._numbers)}"
        self.accounts[kid] = {
            "kid": kid,
            "jwk": account["jwk"],
            "contact": payload.get("contact", []),
            "status": "valid",
        }
        return said(201, self._account(kid), Location=kid)

    def _account(self, kid: str) -> Json:
        return {"status": self.accounts[kid]["status"], "contact": self.accounts[kid]["contact"]}

    def _acct(self, account: Json, payload: Json, path: str) -> Reply:
        account["contact"] = payload["contact"]
        return said(200, self._account(self.url + path))

    def _new_order(self, _: Json, payload: Json, __: str) -> Reply:
        url = f"{self.url}/order/{next(self._numbers)}"
        names = [item["value"] for item in payload["identifiers"]]
        authorizations = [self._new_authorization(name) for name in names]
        done = all(self.authorizations[item]["status"] == "valid" for item in authorizations)
        self.orders[url] = {
            "status": "ready" if done else "pending",
            "identifiers": payload["identifiers"],
            "authorizations": authorizations,
            "finalize": f"{url}/finalize",
            "_polls": self.polls,
        }
        return said(201, public(self.orders[url]), Location=url)

    def _new_authorization(self, name: str) -> str:
        number = next(self._numbers)
        url = f"{self.url}/authz/{number}"
        challenge = {"type": "http-01", "url": f"{self.url}/chall/{number}", "status": "pending", "token": self.token}
        self.authorizations[url] = {
            "identifier": {"type": "dns", "value": name},
            "status": "valid" if name in self.proven else "pending",
            "challenges": [*self.extra_challenges, challenge],
            "_polls": self.polls,
        }
        return url

    def _order(self, _: Json, __: None, path: str) -> Reply:
        order = self.orders.get(self.url + path)
        if order is None:
            return refused("malformed", "no such order", 404)
        if order["status"] == "pending":
            statuses = {self.authorizations[item]["status"] for item in order["authorizations"]}
            if statuses - {"valid", "pending"}:
                order["status"] = "invalid"
            elif statuses == {"valid"}:
                order["status"] = "ready"
        elif order["status"] == "processing":
            self._process(order)
        headers = self.poll_headers if order["status"] == "processing" else {}
        return said(200, public(order), **headers)

    def _authz(self, account: Json, _: None, path: str) -> Reply:
        authorization = self.authorizations[self.url + path]
        challenge = authorization["challenges"][-1]
        if challenge["status"] == "processing":
            if authorization["_polls"] > 0:
                authorization["_polls"] -= 1
                return said(200, public(authorization), **self.poll_headers)
            self._validate(account, authorization, challenge)
        return said(200, public(authorization))

    def _validate(self, account: Json, authorization: Json, challenge: Json) -> None:
        name = authorization["identifier"]["value"]
        thumbprint = hashlib.sha256(json.dumps(account["jwk"], sort_keys=True, separators=(",", ":")).encode()).digest()
        expected = f"{challenge['token']}.{_encode(thumbprint)}"
        found = self.lookup(name, challenge["token"])
        if found == expected and self.challenge_error is None:
            authorization["status"] = challenge["status"] = "valid"
            return
        authorization["status"] = challenge["status"] = "invalid"
        words = {"type": ERROR + "unauthorized", "detail": f"expected {expected!r}, found {found!r}"}
        challenge["error"] = self.challenge_error or words

    def _chall(self, _: Json, __: Json, path: str) -> Reply:
        authorization = self.authorizations[self.url + path.replace("chall", "authz")]
        challenge = authorization["challenges"][-1]
        if challenge["status"] != "pending":
            return refused("malformed", "you have said so already")
        challenge["status"] = "processing"
        return said(200, challenge)

    def _order_finalize(self, _: Json, payload: Json, path: str) -> Reply:
        order = self.orders[self.url + path.removesuffix("/finalize")]
        if order["status"] != "ready":
            return refused("orderNotReady", f"the order is {order['status']}", 403)
        order["status"], order["_csr"] = "processing", _decode(payload["csr"])
        order["_url"] = self.url + path.removesuffix("/finalize")
        if self.polls == 0:
            self._process(order)
        return said(200, public(order), **(self.poll_headers if order["status"] == "processing" else {}))

    def _process(self, order: Json) -> None:
        if order["_polls"] > 0:
            order["_polls"] -= 1
            return
        if self.order_error is not None:
            order["status"], order["error"] = "invalid", self.order_error
            return
        csr = x509.load_der_x509_csr(order["_csr"])
        key = self.chain_key or csr.public_key()
        names = self.chain_names or [item["value"] for item in order["identifiers"]]
        leaf = _certificate(names[0], key, self._root_key, names)
        url = order["_url"].replace("/order/", "/cert/")
        pem = (item.public_bytes(serialization.Encoding.PEM) for item in (leaf, self.root))
        self.certificates[url] = b"".join(pem) + self.chain_suffix
        order["status"], order["certificate"] = "valid", url

    def _cert(self, _: Json, __: None, path: str) -> Reply:
        return Reply(200, self.certificates[self.url + path], {"Content-Type": "application/pem-certificate-chain"})

    def _revoke(self, account: Json, payload: Json, _: str) -> Reply:
        """Revoke for any account of mine, or for whoever has the certificate's key (RFC 8555 section 7.6)."""
        certificate = _decode(payload["certificate"])
        if account["kid"] is None:
            key = x509.load_der_x509_certificate(certificate).public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            numbers = key.public_numbers()
            if [_encode(number.to_bytes(32)) for number in (numbers.x, numbers.y)] != [account["jwk"][m] for m in "xy"]:
                return refused("unauthorized", "signed by neither the account nor the certificate's key", 403)
        if certificate in self.revoked:
            return refused("alreadyRevoked", "revoked before")
        self.revoked.add(certificate)
        return Reply(200)


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Say nothing about connections that tests cut."""


class _Handler(http.server.BaseHTTPRequestHandler):
    fake: FakeCa
    protocol_version = "HTTP/1.1"
    timeout = 5
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self._reply(self.fake.serve("POST", self.path, self.rfile.read(int(self.headers["Content-Length"]))))

    def do_GET(self) -> None:
        self._reply(self.fake.serve("GET", self.path, b""))

    def do_HEAD(self) -> None:
        self._reply(self.fake.serve("HEAD", self.path, b""))

    def _reply(self, reply: Reply) -> None:
        if reply.fault:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status)
        if self.command == "POST" and "Replay-Nonce" not in reply.headers:
            self.send_header("Replay-Nonce", self.fake.new_nonce())
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _verify(jwk: Mapping[str, str], algorithm: str, signed: str, signature: bytes) -> None:
    if (jwk.get("kty"), jwk.get("crv"), algorithm, len(signature)) != ("EC", "P-256", "ES256", 64):
        raise InvalidSignature
    x, y = (int.from_bytes(_decode(jwk[member])) for member in "xy")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))


def _certificate(name: str, key: Any, signer: ec.EllipticCurvePrivateKey, names: list[str] | None) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake root")]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(item) for item in names]), critical=False
        )
    return builder.sign(signer, hashes.SHA256())


def _nothing(_domain: str, _token: str) -> str | None:
    return None


def public(document: Json) -> Json:
    return {key: value for key, value in document.items() if not key.startswith("_")}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if "=" in text:
        raise ValueError("padded base64url")  # RFC 8555 section 6.1: MUST be rejected
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
