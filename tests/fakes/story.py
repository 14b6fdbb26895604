"""Facts as a run of looks would have made them: what each server answered and what each address presented, and when."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chains import issue, p256
from danelaw import dane
from danelaw.lifecycle import see_owner, see_probes
from danelaw.lifecycle.merge import merge
from danelaw.model import (
    CertificateSpec,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Effect,
    EffectOutcome,
    Endpoint,
    Fact,
    Facts,
    FileSpec,
    Generation,
    Http01,
    KeyFact,
    OnDisk,
    OwnerLook,
    OwnRecord,
    Primary,
    ProbeRequest,
    ProbeResult,
    Reading,
    RecordSpec,
    Service,
    TlsaClaim,
    TlsaRecord,
    Unanswered,
    Validated,
)
from danelaw.pki import chain_from_der

START = datetime(2027, 3, 1, tzinfo=UTC)
HOST = "mail.example.org"
ENDPOINT = Endpoint(HOST, 25, "smtp")
OWNER = ENDPOINT.owner
ADDRESS = "192.0.2.25"
A, B = "192.0.2.53", "198.51.100.53"
NAME = "example.org"
SPKI_256, SPKI_512, CERT_256 = RecordSpec(3, 1, 1), RecordSpec(3, 1, 2), RecordSpec(3, 0, 1)

Records = tuple[TlsaRecord, ...]

OWN_KEY, OTHER_KEY = p256(), p256()


def chain(key: object = OWN_KEY, *, at: datetime = START, days: int = 90) -> Chain:
    """Return a fresh chain; every call issues another certificate."""
    return chain_from_der(issue(HOST, key=key, at=at, days=days).chain_der)  # type: ignore[arg-type]


OLD, NEW, ALIEN = chain(days=20), chain(), chain(OTHER_KEY)


def record(of: Chain, spec: RecordSpec = SPKI_256) -> TlsaRecord:
    return dane.tlsa_record(spec, of)


STALE = TlsaRecord(3, 0, 1, b"\7" * 32)


def minutes(number: float) -> datetime:
    return START + timedelta(minutes=number)


def desired(
    *,
    prune: bool | Records = False,
    records: tuple[RecordSpec, ...] = (SPKI_256,),
    ttl: int = 3600,
    history: timedelta = timedelta(0),
    claimed: bool = True,
) -> Desired:
    claim = TlsaClaim(NAME, ENDPOINT, records, "home", ttl, prune)
    deployment = Deployment(
        NAME,
        (FileSpec("/etc/ssl/mail.pem", ("cert", "chain", "key")),),
        (ENDPOINT,),
        (Service("postfix", None, ("reload", "postfix")),),
    )
    spec = CertificateSpec(
        name=NAME,
        names=(HOST,),
        ca="ca",
        http01=Http01(webroots=("/var/www",)),
        key="/etc/ssl/key.pem",
        claims=(claim,) if claimed else (),
        deployments=(deployment,),
    )
    return Desired((spec,), timedelta(minutes=15), history)


class Story:
    """Facts that grow. Instants are minutes from `START`."""

    def __init__(self, of: Desired | None = None) -> None:
        self.desired = of or desired()
        self.facts = Facts()

    @property
    def deployment(self) -> Deployment:
        return self.desired.certificates[0].deployments[0]

    def add(self, *facts: Fact) -> "Story":
        self.facts = merge(self.facts, facts)
        return self

    def look(
        self,
        at: float,
        answers: Mapping[str, Iterable[TlsaRecord] | None],
        *,
        ttl: int = 3600,
        original_ttl: int | None = None,
        cname_ttl: int = 0,
        signed_for: timedelta | None = timedelta(days=10),
        listed: Sequence[str] | None = None,
        primary: Iterable[TlsaRecord] | None = None,
        validated: Validated | None = None,
        host_wildcard: bool = False,
        wildcard: bool = False,
        problem: str | None = None,
    ) -> "Story":
        """Look at DNS: a server's records, () for absence, None for a server that does not answer."""
        readings = tuple(
            Reading(
                owner=OWNER,
                server=server,
                rcode="NOERROR" if found else "NXDOMAIN",
                rdatas=found,
                ttl=ttl if found else 0,
                original_ttl=(ttl if original_ttl is None else original_ttl) if found else 0,
                cname_ttl=cname_ttl,
                rrsig_expires=minutes(at) + signed_for if found and signed_for else None,
                target=OWNER,
                wildcard=wildcard,
            )
            for server, answer in answers.items()
            if answer is not None
            for found in [tuple(sorted(answer))]
        )
        missed = tuple(Unanswered(OWNER, server, "silent") for server, answer in answers.items() if answer is None)
        first = readings[0].rdatas if readings else ()
        held = tuple(sorted(primary)) if primary is not None else first
        look = OwnerLook(
            owner=OWNER,
            zone="example.org.",
            target=OWNER,
            servers=dict.fromkeys(listed if listed is not None else answers, 3600),
            readings=readings,
            unanswered=missed,
            validated=validated or Validated("secure", "NOERROR", held),
            host_wildcard=host_wildcard,
            problem=problem,
        )
        self.add(*see_owner(self.facts, look, minutes(at)))
        return self.add(Primary(OWNER, held, ttl if held else 0, minutes(at)))

    def probe(self, at: float, presented: Mapping[str, Sequence[Chain]], mine: Iterable[str] = (ADDRESS,)) -> "Story":
        """Shake hands: an address without chains is silent."""
        results = [
            ProbeResult(
                ProbeRequest(ENDPOINT, address, (address, 25)), tuple(chains), problem=None if chains else "refused"
            )
            for address, chains in presented.items()
        ]
        return self.add(*see_probes(self.facts, results, frozenset(mine), minutes(at)))

    def key(self, of: Chain = NEW, at: float = 0) -> "Story":
        algorithm = of.algorithm
        assert algorithm != "other"
        return self.add(
            KeyFact(
                of.spki_sha256,
                NAME,
                of.spki_der,
                algorithm,
                "mx",
                "/k",
                "adopted",
                minutes(at),
                current_since=minutes(at),
            )
        )

    def issued(self, of: Chain = NEW, at: float = 0) -> "Story":
        return self.add(ChainFact(NAME, of, "ca", minutes(at)))

    def owns(self, *records: TlsaRecord) -> "Story":
        return self.add(*(OwnRecord(OWNER, one, "home", START) for one in records))

    def staged(self, n: int, of: Chain | None, **instants: float) -> "Story":
        """Stage a generation; ``active``, ``reloaded``, ``proven`` and ``failed`` are minutes."""
        marks = {f"{name}_at": minutes(at) for name, at in instants.items()}
        leaf = of.leaf_sha256 if of else ""
        row = Generation("mx", self.deployment.id, n, leaf, _files(of, n), START, shape=self.deployment.shape)
        return self.add(replace(row, **marks))  # type: ignore[arg-type]

    def on_disk(self, of: Chain | None, n: int, at: float = 0) -> "Story":
        return self.add(OnDisk(self.deployment.id, _files(of, n), minutes(at)))

    def effect(self, kind: str, subject: str, at: float, outcome: EffectOutcome = "failed") -> "Story":
        """Let an effect have begun and ended."""
        number = len(self.facts.effects) + 1
        row = Effect(number, kind, subject, "", minutes(at), minutes(at), outcome, "it broke")
        self.facts = replace(self.facts, effects=(*self.facts.effects, row))
        return self


def _files(of: Chain | None, n: int) -> dict[str, str]:
    return {"/etc/ssl/mail.pem": f"{n} {of.leaf_sha256}"} if of else {}
