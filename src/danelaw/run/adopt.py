"""`danelaw adopt`: what is live is the truth, where the state knows another key or was written by another machine.

Both may be right: a restored backup knows nothing of what happened since, a copied state folder has a twin that goes on
renewing. Nobody but a person can tell, so all that concerns the certificate is on hold until then.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from danelaw.errors import DanelawError, Refused
from danelaw.lifecycle.disk import active_generation
from danelaw.lifecycle.keys import current_key, obstacle
from danelaw.lifecycle.sight import looked_at, presented_now
from danelaw.model import CertificateSpec, Chain, ChainFact, Deployment, Desired, Fact, Facts, Hold, KeyFact
from danelaw.run.intents import spec_of
from danelaw.run.keys import after_all_keys, key_of
from danelaw.run.look import look
from danelaw.run.rings import Rings

ADOPTION = "adopt"
"""The kind of its effect."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was accepted as the truth: ``key`` is the certificate's current one from now on, with its ``chain``.

    ``moved`` are the keys that are this machine's now, ``key`` and ``chain`` None where those in use were known.
    """

    certificate: str
    key: KeyFact | None
    chain: Chain | None
    moved: tuple[KeyFact, ...]


def adopt(desired: Desired, rings: Rings, name: str) -> Adopted:
    """Accept the key that stands at a certificate's deployed paths, its chain, and this machine as the truth.

    Nothing that services read is changed. Raises `InputError` for an unknown name; `Refused` where a key is not here,
    where deployments hold different keys, or nothing presents a certificate over it; `LeaseHeld`.
    """
    spec = spec_of(desired, name)
    with rings.store.lease(name):
        facts = look(replace(desired, certificates=(spec,)), rings)
        moved = tuple(_moved(rings, facts, name))
        found = _live_key(rings, facts, spec)
        chain = None if found is None else _chain(facts, spec, found)
        if not moved and found is None:
            return Adopted(name, None, None, ())
        detail = json.dumps({"certificate": name, "spki_sha256": found[1].spki_sha256 if found else None})
        effect = rings.store.begin(ADOPTION, name, detail, rings.clock.now())
        made: list[Fact] = [*moved]
        try:
            key = None if found is None else _taken(rings, facts, spec, found)
        except DanelawError as error:
            rings.store.end(effect, "failed", str(error), rings.clock.now())
            raise
        if key is not None and chain is not None:
            made.append(key)
            made.extend([] if _is_known(facts, name, chain) else [ChainFact(name, chain, spec.ca, rings.clock.now())])
        said = f"key {key.spki_sha256[:16]}… is the current one" if key else f"{len(moved)} keys are this machine's"
        rings.store.end(effect, "done", said, rings.clock.now(), made)
        return Adopted(name, key, chain, moved)


def other_machine(desired: Desired, facts: Facts, host_id: str) -> tuple[Hold, ...]:
    """Return what is on hold since another machine wrote it: a state that was copied, or restored elsewhere.

    ``host_id`` is what this machine is known by; "" where nobody asks.
    """
    names = dict.fromkeys(
        spec.name for spec in desired.certificates if host_id and any(_others(facts, spec.name, host_id))
    )
    return tuple(
        Hold(
            "other-machine",
            name,
            f"the state of {name} was written by another machine, which may still renew and publish for it",
            f"stop danelaw there, then run danelaw adopt {name} here",
        )
        for name in names
    )


def _others(facts: Facts, name: str, host_id: str) -> Iterator[KeyFact]:
    """Yield a certificate's keys that are held, by what is stored, on another machine than this one."""
    for key in facts.keys:
        if key.certificate == name and key.host != host_id and key.origin != "elsewhere" and not key.destroyed_at:
            yield key


def _moved(rings: Rings, facts: Facts, name: str) -> Iterator[KeyFact]:
    """Yield another machine's keys as this one's. Raises `Refused` where the file of one is not here."""
    for key in _others(facts, name, rings.host_id) if rings.host_id else ():
        try:
            rings.host.sign(key)
        except DanelawError as error:
            raise Refused(f"{error}; copy it here with the rest of the state folder, then adopt") from error
        yield replace(key, host=rings.host_id)


def _live_key(rings: Rings, facts: Facts, spec: CertificateSpec) -> tuple[str, KeyFact] | None:
    """Return the key at the deployed paths with the path that it was read from; None where it is the one in use."""
    current = current_key(facts, spec.name)
    found: dict[str, KeyFact] = {}
    for deployment in spec.deployments:
        if _drifted(facts, deployment):
            for file in deployment.files:
                if "key" in file.parts:
                    key = rings.host.peek_key(_from(spec, file.path))
                    found |= {} if key is None else {file.path: key}
    others = {path: key for path, key in found.items() if current is None or key.spki_sha256 != current.spki_sha256}
    if not others:
        return None
    if len({key.spki_sha256 for key in others.values()}) > 1:
        shown = ", ".join(f"{path} holds {key.spki_sha256[:16]}…" for path, key in others.items())
        raise Refused(f"the deployed files of {spec.name} hold different keys ({shown}); make them one first")
    refused = obstacle(spec)
    if refused is not None:
        raise Refused(f"{refused[0]}; {refused[1]}")
    return next(iter(others.items()))


def _drifted(facts: Facts, deployment: Deployment) -> bool:
    """Tell whether somebody else has written what stands at a deployment's paths."""
    active = active_generation(facts, deployment.id)
    disk = next((row for row in facts.on_disk if row.deployment == deployment.id), None)
    return active is not None and disk is not None and dict(disk.files) != dict(active.files)


def _from(spec: CertificateSpec, path: str) -> CertificateSpec:
    """Return a certificate as if the config named a deployed file as its key: other PEM in it is passed over."""
    return replace(spec, key=path, key_password_file=None, csr=None)


def _chain(facts: Facts, spec: CertificateSpec, found: tuple[str, KeyFact]) -> Chain:
    """Return the newest chain over a key that this host presents for a certificate. Raises `Refused`."""
    path, key = found
    rows = [
        row
        for deployment in spec.deployments
        for endpoint in deployment.endpoints
        for address in looked_at(facts, endpoint, timedelta(0), max(row.at for row in facts.on_disk))
        for row in presented_now(facts, endpoint, address)
        if row.mine and row.chain.spki_sha256 == key.spki_sha256
    ]
    if not rows:
        raise Refused(
            f"{path} holds another key ({key.spki_sha256[:16]}…), and no service here presents a certificate over it; "
            "reload what reads it, then adopt; or put the former files back"
        )
    return max(rows, key=lambda row: row.chain.not_before).chain


def _taken(rings: Rings, facts: Facts, spec: CertificateSpec, found: tuple[str, KeyFact]) -> KeyFact:
    """Copy the key at a deployed path into the state; return it as the current one. Raises `Refused`."""
    path, seen = found
    known = key_of(facts, spec.name, seen.spki_sha256)
    if known is not None and known.compromised_at:
        raise Refused(
            f"{path} holds a key that is compromised ({seen.spki_sha256[:16]}…), which is no key to go on with; "
            "put the former files back: danelaw apply does that where nobody holds it up"
        )
    taken = rings.host.take_key(_from(spec, path))
    return replace(
        taken, current_since=after_all_keys(facts, spec.name, rings.clock.now()), host=rings.host_id or taken.host
    )


def _is_known(facts: Facts, name: str, chain: Chain) -> bool:
    return any((row.certificate, row.chain.leaf_sha256) == (name, chain.leaf_sha256) for row in facts.chains)
