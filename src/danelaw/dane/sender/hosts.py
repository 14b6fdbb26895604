"""From a host to its addresses, its TLSA base domain and its records (RFC 7672 sections 2.2.2, 2.2.3)."""

from dataclasses import dataclass

from danelaw.dane.sender.asking import Asking
from danelaw.dane.sender.discovery import Found, Place
from danelaw.dane.tlsa import usable
from danelaw.model import LookedUp, Security, TlsaKind, TlsaState
from danelaw.names import is_address

_SECURE: frozenset[TlsaKind] = frozenset({"usable", "unusable"})
"""What makes a candidate the TLSA base domain (RFC 7672 section 2.2.3)."""


@dataclass(frozen=True, slots=True)
class HostState:
    """What DNS says of a host: addresses, how they validate, where its aliases end, and its TLSA records.

    ``why`` says why there are no addresses.
    """

    addresses: tuple[str, ...]
    security: Security
    canonical: str
    lookups: tuple[LookedUp, ...]
    tlsa: TlsaState
    first_alias: Security | None = None
    why: str = ""

    @property
    def failed(self) -> bool:
        """Return whether an address look-up failed, so that senders take the host for unreachable."""
        return any(found.failed for found in self.lookups)

    @property
    def server_name(self) -> str:
        """Return what SNI says: the TLSA base domain (RFC 7672 section 8.1), "" where there is none."""
        return self.tlsa.base if self.tlsa.kind in _SECURE else ""

    @property
    def ours(self) -> bool:
        """Return whether all that failed are this machine's own look-ups: one that is theirs decides."""
        failed = [found for found in (*self.lookups, self.tlsa.found) if found is not None and found.failed]
        return bool(failed) and all(found.ours for found in failed)


def look_up(place: Place, found: Found, asking: Asking, *, authorities: bool) -> HostState | None:
    """Return what DNS says of a place, None while an answer is missing that decides where a sender goes.

    What each server says decides nothing, so that it may still be missing.
    """
    host = place.host
    if is_address(host):
        return _literal(place)
    both = asking.lookup(host, "A"), asking.lookup(host, "AAAA")
    lookups = tuple(each for each in both if each is not None)
    if len(lookups) < len(both):
        return None
    failed = [each for each in lookups if each.failed]
    if failed:
        worst = failed[0]
        state = TlsaState(host, _owner(place, host), "not-asked")
        return HostState((), worst.security, host, lookups, state, why=worst.why)
    holding = [each for each in lookups if each.addresses]
    addresses = tuple(dict.fromkeys(address for each in holding for address in each.addresses))
    canonical = next((each.canonical for each in (*holding, *lookups) if each.canonical), host)
    if not addresses:
        why = "the name does not exist" if lookups[0].rcode == "NXDOMAIN" else "it has neither an A nor an AAAA record"
        state = TlsaState(host, _owner(place, host), "not-asked")
        return HostState((), lookups[0].security, canonical, lookups, state, why=why)
    security: Security = "secure" if all(each.security == "secure" for each in holding) else "insecure"
    candidates = [canonical, host] if security == "secure" else []
    first_alias: Security | None = "secure" if canonical != host else None
    if canonical != host and security == "insecure":
        # RFC 7672 section 2.1.3: below insecure addresses the alias is asked about by itself.
        first = asking.lookup(host, "CNAME")
        if first is None:
            return None
        lookups, first_alias = (*lookups, first), first.security
        if first.failed:  # an error at any stage of the expansion is one of the whole
            state = TlsaState(host, _owner(place, host), "error", found=first, why=first.why)
            return HostState(addresses, security, canonical, lookups, state, first_alias)
        if first.security == "secure":
            candidates = [host]  # RFC 7672 section 2.2.2, "Insecure CNAME": at the original name only
    state_or_none = _tlsa(place, tuple(dict.fromkeys(candidates)), found, asking, authorities=authorities)
    if state_or_none is None:
        return None
    return HostState(addresses, security, canonical, lookups, state_or_none, first_alias)


def _tlsa(
    place: Place, candidates: tuple[str, ...], found: Found, asking: Asking, *, authorities: bool
) -> TlsaState | None:
    """Ask the candidate base domains in turn, until one has secure records (RFC 7672 section 2.2.3)."""
    if not candidates:
        return TlsaState(place.host, _owner(place, place.host), "not-asked")
    asked: list[str] = []
    state = None
    for base in candidates:
        owner = _owner(place, base)
        looked = asking.lookup(owner.removesuffix("."), "TLSA")
        if looked is None:
            return None
        asked.append(owner)
        kind = _kind(looked, smtp=found.senders_of_mail)
        if state is None or kind not in {"none", "insecure"}:
            # Without secure records nothing is expanded: the host goes by the name that it was found by.
            own = base if kind in _SECURE else place.host
            names = tuple(dict.fromkeys((own, *found.next_hops)))
            state = TlsaState(base, owner, kind, looked.tlsa, (), looked, None, names, looked.why)
        if kind not in {"none", "insecure"}:
            break
    assert state is not None  # noqa: S101 - there is a candidate
    servers = asking.authorities(state.owner) if authorities else None
    return TlsaState(
        state.base, state.owner, state.kind, state.records, tuple(asked), state.found, servers,
        state.reference_names, state.why,
    )  # fmt: skip


def _kind(looked: LookedUp, *, smtp: bool) -> TlsaKind:
    """Tell what a TLSA look-up means to a sender (RFC 7672 section 2.2)."""
    if looked.failed:
        return "error"
    if not looked.tlsa and not looked.malformed:
        return "none"
    if looked.security != "secure":
        return "insecure"
    return "usable" if any(usable(record, smtp=smtp) for record in looked.tlsa) else "unusable"


def _literal(place: Place) -> HostState:
    """Return an address literal's state: DANE does not apply (RFC 7672 section 2.2)."""
    addresses = (place.host,) if place.preference is None else ()
    why = "" if addresses else "an address stands where a host name is expected"
    state = TlsaState("", "", "not-asked")
    return HostState(addresses, "insecure", place.host, (), state, why=why)


def _owner(place: Place, base: str) -> str:
    return f"_{place.port}._tcp.{base}."
