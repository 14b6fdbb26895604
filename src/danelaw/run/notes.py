"""What a person should know and nobody has to act on: other people's records, a key file that changed, orphans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from danelaw.errors import DanelawError
from danelaw.lifecycle.gate import owner_state
from danelaw.lifecycle.here import silent_elsewhere
from danelaw.lifecycle.records import current_key, foreign_records, orphan_records
from danelaw.model import CertificateSpec, Desired, DnsView, Facts, Host, KeyFact, Presented, Silent
from danelaw.run.withdraw import leaving


@dataclass(frozen=True, slots=True)
class Note:
    """One thing worth saying; ``code`` is stable."""

    code: str
    subject: str
    text: str


def notes(desired: Desired, facts: Facts, host: Host) -> tuple[Note, ...]:
    """Return what is worth saying of a whole configuration, from what is stored and the key files."""
    return (
        *_foreign(desired, facts),
        *_left_out(desired, facts),
        *_silent_elsewhere(desired, facts),
        *_keys(desired, facts, host),
        *_orphans(desired, facts),
    )


def address_notes(desired: Desired, dns: DnsView) -> tuple[Note, ...]:
    """Return the claimed hosts whose addresses are not signed, looked up now: records there protect nobody.

    A sender asks for TLSA records only where the addresses are secure, or a signed CNAME leads to them (RFC 7672
    section 2.2.2).
    """
    hosts = dict.fromkeys(claim.endpoint.host for spec in desired.certificates for claim in spec.claims)
    text = (
        "is not signed, so senders do not ask for its TLSA records (RFC 7672 section 2.2.2), unless by a signed CNAME"
    )
    return tuple(
        Note("insecure-address", host, f"the address of {host} {text}; sign its zone")
        for host in hosts
        if dns.addresses(host)[1] == "insecure"
    )


def _owners(desired: Desired) -> list[str]:
    return list(dict.fromkeys(claim.endpoint.owner for spec in desired.certificates for claim in spec.claims))


def _foreign(desired: Desired, facts: Facts) -> Iterator[Note]:
    for owner in _owners(desired):
        primary = next((row for row in facts.primaries if row.owner == owner), None)
        for record in foreign_records(facts, desired, owner, primary.rdatas, primary.at) if primary else ():
            yield Note("foreign", owner, f"{record} at {owner} is not ours and stays; `prune` can name it")


def _left_out(desired: Desired, facts: Facts) -> Iterator[Note]:
    for owner in _owners(desired):
        state = owner_state(facts, owner)
        for server in state.left_out if state else ():
            yield Note("left-out", owner, f"{server} was not asked about {owner}: this host has no route to it")


def _silent_elsewhere(desired: Desired, facts: Facts) -> Iterator[Note]:
    """Nobody here can start a service at another host's address; what it presents counts all the same."""
    for endpoint in dict.fromkeys(claim.endpoint for spec in desired.certificates for claim in spec.claims):
        rows: list[Presented | Silent] = [*facts.presented, *facts.silent]
        last = max((row.last_at for row in rows if row.endpoint == endpoint), default=None)
        for row in silent_elsewhere(facts, endpoint, last) if last else ():
            text = f"is another host's and silent since {row.first_at:%Y-%m-%d %H:%M:%SZ}: {row.problem}"
            yield Note("silent-elsewhere", str(endpoint), f"{row.address} at {endpoint} {text}")


def _keys(desired: Desired, facts: Facts, host: Host) -> Iterator[Note]:
    """A key file or a CSR that goes over to another key after the adoption is reported and not followed."""
    keys = [(spec, key) for spec in desired.certificates if (key := current_key(facts, spec.name)) is not None]
    yield from _shared(keys)
    for spec, key in keys:
        if spec.csr is not None and spec.csr.spki_der != key.spki_der:
            text = f"{spec.csr.path} is over another key now than the one in use ({key.spki_sha256[:16]}…)"
            yield Note("csr-changed", spec.name, f"{text}; the CSR sent last goes on being used")
        if spec.key is None or key.origin == "elsewhere":
            continue
        try:
            found = host.peek_key(replace(spec, csr=None))
        except DanelawError as error:
            yield Note("key-file", spec.name, f"{error}; the adopted copy goes on being used")
            continue
        ours = {row.spki_sha256 for row in facts.keys if row.certificate == spec.name}  # one that was replaced, too
        if found is not None and found.spki_sha256 not in ours:
            text = f"{spec.key} holds another key now ({found.spki_sha256[:16]}…); the adopted one goes on being used"
            yield Note("key-changed", spec.name, text)


def _shared(keys: Sequence[tuple[CertificateSpec, KeyFact]]) -> Iterator[Note]:
    """Say where two certificates have one key from different files; of one file the config's own warning speaks."""
    first: dict[str, CertificateSpec] = {}
    for spec, key in keys:
        other = first.setdefault(key.spki_sha256, spec)
        if other is not spec and (spec.key is None or spec.key != other.key):
            text = f"{spec.name} has the key of {other.name} ({key.spki_sha256[:16]}…)"
            yield Note("key-shared", spec.name, f"{text}: revoking either for keyCompromise revokes both")


def _is_in_service(desired: Desired, facts: Facts, name: str) -> bool:
    """Tell whether anything of a certificate that left the config is still where it was put."""
    now = max(row.made_at for row in facts.keys if row.certificate == name)
    left = leaving(desired, facts, name, now)
    return bool(left.deployments or any(left.records.values()))


def _orphans(desired: Desired, facts: Facts) -> Iterator[Note]:
    """What left the config is kept until a person withdraws it."""
    claimed = set(_owners(desired))
    left = [(row.owner, row.record) for row in facts.own_records if not row.withdrawn_at and row.owner not in claimed]
    for row in facts.primaries:
        if row.owner in claimed:
            left.extend((row.owner, record) for record in orphan_records(facts, desired, row.owner, row.rdatas, row.at))
    for owner, record in left:
        text = f"{record} at {owner} is ours, and no tlsa table claims it any more; danelaw withdraw takes it"
        yield Note("orphan-record", owner, text)
    names = {spec.name for spec in desired.certificates}
    for name in sorted({key.certificate for key in facts.keys} - names):
        if _is_in_service(desired, facts, name):
            text = f"{name} left the config; its key, files and records are kept until danelaw withdraw {name}"
            yield Note("orphan-certificate", name, text)
    deployments = {deployment.id for spec in desired.certificates for deployment in spec.deployments}
    for deployment in sorted({row.deployment for row in facts.generations if row.active_at} - deployments):
        yield Note("orphan-files", deployment, f"no deploy table names {deployment} any more; the files are kept")
