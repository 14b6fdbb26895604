"""What the picture of a report shows, before it is laid out.

Steps of DNSSEC, and for each host its addresses, the chains that they present, the TLSA records, and which record pins
which certificate. Everything is bounded here, and what is left out is said, so that the drawing needs no case for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from danelaw.model import Attempt, Chain, EndpointReport, RecordVerdict, Report, Security, TlsaKind, TlsaRecord
from danelaw.pki import load, subject_text
from danelaw.web.words import (
    ALGORITHMS,
    FAILURES,
    SECURITY_STATES,
    State,
    endpoint_words,
    headline,
    outcomes_state,
    shown,
    worst,
)

MOST_HOSTS = 12
MOST_ADDRESSES = 16
MOST_CHAINS = 12
MOST_CERTIFICATES = 6
MOST_RECORDS = 12


FOUND: dict[Security, str] = {
    "secure": "addresses secure",
    "insecure": "addresses insecure",
    "bogus": "addresses bogus",
    "indeterminate": "addresses unknown",
}

NOT_ASKED: dict[Security, str] = {
    "secure": "not asked: no address",
    "insecure": "not asked: addresses insecure",
    "bogus": "not asked: addresses bogus",
    "indeterminate": "not asked: addresses unknown",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One sign with its text: a step of DNSSEC, or a line inside a box. ``note`` is the smaller text below it."""

    state: State
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Presents:
    """One handshake at an address. ``chain`` is the position of what it presented, None for nothing."""

    state: State
    label: str
    note: str
    chain: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An address with its handshakes."""

    text: str
    presents: tuple[Presents, ...]


@dataclass(frozen=True, slots=True)
class Certificates:
    """A chain as presented, leaf first, under a letter. ``more`` counts certificates beyond those named."""

    name: str
    state: State
    rows: tuple[Place, ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """A TLSA record. ``pins`` are (position of the chain, certificate in it), the certificate within those named."""

    state: State
    label: str
    note: str
    pins: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Band:
    """One host and port: all that hangs from it."""

    host: str
    state: State
    verdict: str
    found: Place
    tlsa: Place
    addresses: tuple[Address, ...]
    chains: tuple[Certificates, ...]
    records: tuple[Pin, ...]
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole picture. ``steps`` lead from the root of DNS to where the hosts are named."""

    title: str
    steps: tuple[Place, ...]
    bands: tuple[Band, ...]
    left_out: str = ""


class Presented(NamedTuple):
    """Every chain that an endpoint presents, by the leaf's SHA-256 in the order met: its name, itself, the records."""

    letters: dict[str, str]
    chains: dict[str, tuple[Chain, tuple[RecordVerdict, ...]]]


def presented(attempts: Iterable[Attempt]) -> Presented:
    """Return the chains that some attempts met, each once, named ``chain A``, ``chain B`` and so on."""
    chains: dict[str, tuple[Chain, tuple[RecordVerdict, ...]]] = {}
    for each in attempts:
        if each.shaken.chain is not None:
            chains.setdefault(each.shaken.chain.leaf_sha256, (each.shaken.chain, each.records))
    return Presented({leaf: f"chain {_letter(number)}" for number, leaf in enumerate(chains)}, chains)


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def scene(report: Report) -> Scene:
    """Return what the picture of a report shows."""
    hidden = max(len(report.endpoints) - MOST_HOSTS, 0) + len(report.discovery.left_out)
    return Scene(
        headline(report),
        _steps(report),
        tuple(_band(endpoint) for endpoint in report.endpoints[:MOST_HOSTS]),
        _count(hidden, "more host is", "more hosts are"),
    )


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several} not shown" if number else ""


def _steps(report: Report) -> tuple[Place, ...]:
    """Return the way of DNSSEC from the root to the MX or SRV records; an endpoint by itself has none of its own."""
    discovery, found = report.discovery, report.discovery.found
    root = Place("good" if found is None or not found.ours else "unknown", "root", "trust anchor")
    if discovery.kind == "given" or found is None:
        return (root,)
    kind = found.lookup.rrtype
    words = {
        "listed": f"{kind}: {len(report.endpoints) + len(discovery.left_out)} named",
        "implicit": f"no {kind}: the domain is its own host",
        "null": "null MX: it takes no mail" if kind == "MX" else "the service is not offered",
        "missing": "no such domain",
        "error": f"the {kind} look-up fails",
        "given": kind,
    }
    records = "plain" if discovery.kind in {"null", "missing"} else _security(found.security)
    return (
        root,
        Place(_security(found.security), report.target.name, found.security),
        Place(records, words[discovery.kind]),
    )


def _security(security: Security) -> State:
    return SECURITY_STATES[security]


def _band(endpoint: EndpointReport) -> Band:
    met = presented(endpoint.attempts)
    positions = {leaf: position for position, leaf in enumerate(list(met.letters)[:MOST_CHAINS])}
    addresses = list(dict.fromkeys([*endpoint.addresses, *(each.address for each in endpoint.attempts)]))
    hidden = (
        _count(max(len(addresses) - MOST_ADDRESSES, 0), "more address is", "more addresses are"),
        _count(max(len(met.letters) - MOST_CHAINS, 0), "more chain is", "more chains are"),
        _count(max(len(endpoint.tlsa.records) - MOST_RECORDS, 0), "more record is", "more records are"),
    )
    preference = "" if endpoint.preference is None else f", preference {endpoint.preference}"
    return Band(
        host=endpoint.name,
        state=outcomes_state(endpoint.outcomes.values()),
        verdict=endpoint_words(endpoint),
        found=Place(_security(endpoint.security), f"{FOUND[endpoint.security]}{preference}"),
        tlsa=tlsa_place(endpoint),
        addresses=tuple(_address(address, endpoint, positions) for address in addresses[:MOST_ADDRESSES]),
        chains=tuple(_chain(met.letters[leaf], met.chains[leaf][0], endpoint) for leaf in positions),
        records=tuple(_pin(record, endpoint, positions) for record in endpoint.tlsa.records[:MOST_RECORDS]),
        left_out="; ".join(words for words in hidden if words),
    )


def tlsa_place(endpoint: EndpointReport) -> Place:
    """Return how the TLSA look-up of an endpoint stands."""
    tlsa = endpoint.tlsa
    many = len(tlsa.records)
    records = f"{many} record{'' if many == 1 else 's'}"
    ours = tlsa.found is not None and tlsa.found.ours
    places: dict[TlsaKind, tuple[State, str]] = {
        "usable": ("good", f"{records}, secure"),
        "unusable": ("weak", f"{records}, secure, none usable"),
        "none": ("weak", "no records"),
        "insecure": ("weak", f"{records}, insecure"),
        "error": ("unknown" if ours else "bad", "the look-up fails"),
        "not-asked": ("plain", NOT_ASKED[endpoint.security]),
    }
    state, words = places[tlsa.kind]
    return Place(state, tlsa.owner, words)


def _address(address: str, endpoint: EndpointReport, positions: dict[str, int]) -> Address:
    tried = [each for each in endpoint.attempts if each.address == address]
    rows = [_presents(each, positions) for each in tried if each.shaken.failure != "not-offered"]
    return Address(shown(address, 60), tuple(rows) or (Presents("plain", "not tried", ""),))


def _presents(attempt: Attempt, positions: dict[str, int]) -> Presents:
    shaken = attempt.shaken
    state = outcomes_state(attempt.outcomes.values())
    if shaken.chain is not None:
        asked = attempt.algorithm or shaken.chain.algorithm
        return Presents(state, ALGORITHMS[asked], shown(shaken.version, 12), positions.get(shaken.chain.leaf_sha256))
    note = FAILURES[shaken.failure] if shaken.failure else "nothing presented"
    return Presents(worst([state]) if attempt.outcomes else "unknown", ALGORITHMS[attempt.algorithm], note)


def _chain(name: str, chain: Chain, endpoint: EndpointReport) -> Certificates:
    meeting = [
        each for each in endpoint.attempts if each.shaken.chain and each.shaken.chain.leaf_sha256 == chain.leaf_sha256
    ]
    state = worst(outcomes_state(each.outcomes.values()) for each in meeting)
    pinned = {verdict.depth or 0 for each in meeting for verdict in each.records if verdict.matches}
    rows = [
        Place("good" if depth in pinned else "plain", subject_text(der), f"until {_until(der)}")
        for depth, der in enumerate(chain.certificates_der[:MOST_CERTIFICATES])
    ]
    more = len(chain.certificates_der) - len(rows)
    return Certificates(name, state, tuple(rows), more)


def _until(certificate_der: bytes) -> str:
    certificate = load(certificate_der)
    return "?" if certificate is None else f"{certificate.not_valid_after_utc:%Y-%m-%d}"


def _pin(record: TlsaRecord, endpoint: EndpointReport, positions: dict[str, int]) -> Pin:
    met: list[tuple[Attempt, RecordVerdict]] = [
        (each, verdict) for each in endpoint.attempts for verdict in each.records if verdict.record == record
    ]
    pins = dict.fromkeys(
        (positions[each.shaken.chain.leaf_sha256], min(verdict.depth or 0, MOST_CERTIFICATES - 1))
        for each, verdict in met
        if verdict.matches and each.shaken.chain is not None and each.shaken.chain.leaf_sha256 in positions
    )
    label = f"{record.spec} {record.data.hex()}"
    if pins:
        return Pin("good", label, f"pins {_pinned(list(pins))}", tuple(pins))
    if any(not verdict.usable for _, verdict in met) or endpoint.tlsa.kind == "unusable":
        return Pin("weak", label, "not usable here")
    if endpoint.tlsa.kind == "insecure":
        return Pin("plain", label, "not secure, so not used")
    return Pin("plain", label, "matches nothing presented" if met else "not compared")


def _pinned(pins: Sequence[tuple[int, int]]) -> str:
    """Return what a record pins in words: ``the leaf of A``, ``certificate 1 of A, B``."""
    found = [f"{'the leaf' if depth == 0 else f'certificate {depth}'} of " for _, depth in pins]
    chains = {what: [_letter(pin[0]) for pin, each in zip(pins, found, strict=True) if each == what] for what in found}
    return "; ".join(what + ", ".join(letters) for what, letters in chains.items())
