"""The CA's objects, read with suspicion: directory, account, order, authorization, challenge (RFC 8555 section 7.1).

What is required and absent is a `MalformedAnswer`; what is unknown is ignored.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from danelaw.acme.problem import MalformedAnswer, Problem, parse_problem, plain

OrderStatus = Literal["pending", "ready", "processing", "valid", "invalid"]
AuthorizationStatus = Literal["pending", "valid", "invalid", "deactivated", "expired", "revoked"]

_MOST_AUTHORIZATIONS = 1000
_MOST_CHALLENGES = 50
_LONGEST_URL = 4096


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a CA's resources are (RFC 8555 section 7.1.1)."""

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str
    terms: str | None
    external_account_required: bool


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove control of a name (RFC 8555 section 8)."""

    type: str
    url: str
    status: str
    token: str
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Authorization:
    """The CA's view of our control over one name (RFC 8555 section 7.1.4). ``domain`` has no ``*.``."""

    url: str
    domain: str
    wildcard: bool
    status: AuthorizationStatus
    challenges: tuple[Challenge, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the CA describes it (RFC 8555 section 7.1.3)."""

    url: str
    status: OrderStatus
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None
    problem: Problem | None


def usable_url(url: str) -> bool:
    """Return whether a URL may be asked: https, or http to this very machine (test CAs), printable ASCII, no user."""
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def parse_directory(document: Mapping[str, Any]) -> Directory:
    """Read a directory object."""
    meta = document.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    return Directory(
        new_nonce=_url(document, "newNonce", "directory"),
        new_account=_url(document, "newAccount", "directory"),
        new_order=_url(document, "newOrder", "directory"),
        revoke_cert=_url(document, "revokeCert", "directory"),
        terms=plain(meta.get("termsOfService")) or None,
        external_account_required=meta.get("externalAccountRequired") is True,
    )


def parse_order(document: Mapping[str, Any], url: str) -> Order:
    """Read an order object that was fetched from, or is located at, ``url``."""
    what = f"order {url}"
    authorizations = document.get("authorizations")
    if (
        not isinstance(authorizations, list)
        or len(authorizations) > _MOST_AUTHORIZATIONS
        or not all(isinstance(item, str) and usable_url(item) for item in authorizations)
    ):
        raise MalformedAnswer(f"{what}: the CA's object has no usable list 'authorizations'")
    return Order(
        url=url,
        status=cast("OrderStatus", _status(document, get_args(OrderStatus), what)),
        authorizations=tuple(authorizations),
        finalize=_url(document, "finalize", what),
        certificate=_url(document, "certificate", what) if document.get("certificate") else None,
        problem=_problem(document),
    )


def parse_authorization(document: Mapping[str, Any], url: str) -> Authorization:
    """Read an authorization object; challenges that lack what every challenge has are left out."""
    what = f"authorization {url}"
    identifier = document.get("identifier")
    domain = identifier.get("value") if isinstance(identifier, dict) else None
    challenges = document.get("challenges")
    if not isinstance(domain, str) or not domain or not isinstance(challenges, list):
        raise MalformedAnswer(f"{what}: the CA's object lacks 'identifier' or 'challenges'")
    return Authorization(
        url=url,
        domain=plain(domain, 255).lower(),
        wildcard=document.get("wildcard") is True,
        status=cast("AuthorizationStatus", _status(document, get_args(AuthorizationStatus), what)),
        challenges=tuple(
            challenge for item in challenges[:_MOST_CHALLENGES] if (challenge := _challenge(item)) is not None
        ),
    )


def _challenge(item: object) -> Challenge | None:
    if not isinstance(item, dict):
        return None
    kind, url, token = item.get("type"), item.get("url"), item.get("token", "")
    if not isinstance(kind, str) or not isinstance(url, str) or not usable_url(url) or not isinstance(token, str):
        return None
    return Challenge(kind, url, plain(item.get("status")) or "pending", token, _problem(item))


def _problem(document: Mapping[str, Any]) -> Problem | None:
    error = document.get("error")
    return parse_problem(error) if isinstance(error, dict) else None


def _status(document: Mapping[str, Any], known: tuple[str, ...], what: str) -> str:
    status = document.get("status")
    if status not in known:
        raise MalformedAnswer(f"{what}: the CA says its status is {plain(str(status), 40)!r}; known are {known}")
    return str(status)


def _url(document: Mapping[str, Any], key: str, what: str) -> str:
    url = document.get(key)
    if not isinstance(url, str) or not usable_url(url):
        raise MalformedAnswer(
            f"{what}: the CA's object has no usable https URL at {key!r} (found {plain(str(url), 80)!r})"
        )
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
