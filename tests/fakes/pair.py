"""A story of RSA beside ECDSA: two certificates at one endpoint, each with a file of its own, read by one service."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from danelaw import lifecycle
from danelaw.lifecycle.reloads import failed_too
from danelaw.model import (
    Activate,
    CertificateSpec,
    Chain,
    ChainFact,
    Deployment,
    Desired,
    Endpoint,
    FileSpec,
    Generation,
    Http01,
    KeyAlgorithm,
    KeyFact,
    KeyType,
    OnDisk,
    Publish,
    RecordSpec,
    Reload,
    Rest,
    Service,
    Stage,
    Step,
    TlsaClaim,
    TlsaRecord,
)
from fakes.facts import A_LOOK, DAY, HOST, MINUTE, OURS, SMTP, START, Story, certificate, in_a_word

POSTFIX = Service("postfix", ("postfix", "check"), ("postfix", "reload"))
DOVECOT = Service("dovecot", ("doveconf", "-n"), ("doveadm", "reload"))

RSA, ECDSA = "rsa", "ecdsa"
"""The two certificates are called by their algorithms."""

FIRST: Mapping[str, Chain] = {
    RSA: certificate("the first rsa", "the rsa key", algorithm="rsa"),
    ECDSA: certificate("the first ecdsa", "the ecdsa key", algorithm="ecdsa"),
}
ALIEN = certificate("a self-signed one", "a foreign ecdsa key", algorithm="ecdsa")


def path_of(name: str) -> str:
    return f"/etc/ssl/{name}.pem"


def spec(
    name: str,
    services: tuple[Service, ...] = (POSTFIX,),
    *,
    claimed: bool = True,
    prune: bool | tuple[TlsaRecord, ...] = False,
    watched: tuple[Endpoint, ...] = (),
) -> CertificateSpec:
    """Return one of the two certificates."""
    claims = (TlsaClaim(name, SMTP, (RecordSpec(3, 1, 1),), "home", 3600, prune),) if claimed else ()
    files = (FileSpec(path_of(name), ("cert", "chain", "key")),)
    deployment = Deployment(name, files, (SMTP,), services, watched)
    key_type: KeyType = "rsa2048" if name == RSA else "p256"
    return CertificateSpec(
        name, (HOST,), "ca", Http01(("/srv",)), key_type=key_type, claims=claims, deployments=(deployment,)
    )


def pair(*specs: CertificateSpec) -> Desired:
    """Return both certificates, or those given."""
    return Desired(specs or (spec(RSA), spec(ECDSA)), 15 * MINUTE, 0 * MINUTE)


@dataclass
class Pair(Story):
    """``files`` are the chains that stand at the paths, by certificate; ``runs`` those that the service has read.

    ``bad`` are the certificates whose new files make the config test fail. ``reloads`` counts.
    """

    desired: Desired = field(default_factory=pair)
    files: dict[str, Chain] = field(default_factory=dict)
    runs: dict[str, Chain] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    reloads: int = 0

    def look(self) -> Self:
        self.at[OURS] = tuple(self.runs.values()) or "connection refused"
        super().look()
        self.note(*(OnDisk(path_of(name), contents(name, chain), self.now) for name, chain in self.files.items()))
        return self

    def key_of(self, name: KeyAlgorithm, chain: Chain | None = None) -> Self:
        """Let a certificate have its key."""
        chain, made = chain or FIRST[name], START - 400 * DAY
        return self.note(
            KeyFact(chain.spki_sha256, name, chain.spki_der, name, "", "", "made", made, current_since=made)
        )

    def has(self, name: KeyAlgorithm, chain: Chain | None = None, n: int = 1) -> Self:
        """Let a chain of a certificate be issued, live and proven."""
        chain = chain or FIRST[name]
        self.key_of(name, chain).note(ChainFact(name, chain, "ca", self.now))
        deployment = next(each.deployments[0] for each in self.desired.certificates if each.name == name)
        row = Generation(
            "", path_of(name), n, chain.leaf_sha256, contents(name, chain), self.now, shape=deployment.shape
        )
        self.files[name] = self.runs[name] = chain
        return self.note(replace(row, active_at=self.now, reloaded_at=self.now, proven_at=self.now))

    def take(self) -> Step | Rest:
        step = self.next()
        if isinstance(step, Rest):
            return step
        if isinstance(step, Reload) and self._is_broken(step):
            why = "postfix check: exit status 1"
            suspects = failed_too(self.desired, self.facts, self._deployment(step.deployment), self.now)
            own = self.of(step.deployment, step.n)
            self.ended(step, "failed", why)
            self.note(*(replace(row, failed_at=self.now, tries=row.tries + 1) for row in (own, *suspects)))
        else:
            self.facts = lifecycle.predict(self.desired, self.facts, step, self.now)
            self.ended(step, "done")
            self._carry_out(step)
        self.later(A_LOOK).look()
        return step

    def _carry_out(self, step: Step) -> None:
        match step:
            case Publish():
                self.dns.serve(*step.wanted)
            case Stage():
                row = self.of(step.deployment, step.n)
                self.note(replace(row, files=contents(step.certificate, self._chain(step.leaf_sha256))))
            case Activate():
                chain = self._chain(step.leaf_sha256)
                self.files[step.certificate] = chain
                self.note(OnDisk(step.deployment, contents(step.certificate, chain), self.now))
            case Reload():
                self.reloads += 1
                self.runs |= {
                    name: chain
                    for name, chain in self.files.items()
                    if set(self._deployment(path_of(name)).services) & set(self._deployment(step.deployment).services)
                }
            case _:
                pass

    def _is_broken(self, step: Reload) -> bool:
        del step  # one service reads all
        return any(name in self.bad and chain != FIRST[name] for name, chain in self.files.items())

    def _deployment(self, deployment: str) -> Deployment:
        return next(d for each in self.desired.certificates for d in each.deployments if d.id == deployment)

    def of(self, deployment: str, n: int) -> Generation:
        return next(row for row in self.facts.generations if (row.deployment, row.n) == (deployment, n))

    def steps(self, *, most: int = 40) -> list[str]:
        """Take steps until there is rest; return what was done, each with its certificate or owner name's port."""
        said: list[str] = []
        while not isinstance(step := self.take(), Rest):
            about = "25" if isinstance(step, Publish) else step.certificate
            said.append(f"{in_a_word(step)} {about}")
            assert len(said) < most, said
            assert len(said) < 2 or said[-1] != said[-2], said
        return said


def contents(name: str, chain: Chain) -> dict[str, str]:
    return {path_of(name): f"file of {chain.leaf_sha256}"}
