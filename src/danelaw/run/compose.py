"""Make the rings of a configuration: the one place where everything real is put together."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from danelaw.acme import AcmeAuthority, HttpVisits, ListenerSolver, WebrootSolver
from danelaw.config import Config
from danelaw.config.files import head
from danelaw.deploy import LocalHost
from danelaw.deploy.services import HostSurvey, RememberedSurvey
from danelaw.dns.authoritative import AuthoritativeView
from danelaw.dns.update import Rfc2136Publisher
from danelaw.errors import Refused, RetryLater
from danelaw.model import CertificateSpec, Clock, Progress, Solver
from danelaw.names import dialled
from danelaw.probe import Handshakes
from danelaw.run.clocks import uptime
from danelaw.run.rings import Around, Listener, Rings, nobody, nothing
from danelaw.run.senders import real_senders
from danelaw.run.system import SystemChance, SystemClock, this_host
from danelaw.store import SqliteStore
from danelaw.store.agenda import store_path

FREEING = timedelta(seconds=5)
"""How long a web server that `pre_challenge` stopped may take to let go of its port."""
PAUSE = timedelta(milliseconds=50)
SERVICES = "services.json"
"""In the state: what the services said when last asked."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The rings with what has to be asked beside the Protocols: the store itself, for the agenda.

    ``warnings`` are what the config's own do not know: of the files that it names.
    """

    config: Config
    rings: Rings
    store: SqliteStore
    warnings: tuple[str, ...] = ()


def survey(config: str, *, prefers_last: bool = False) -> RememberedSurvey:
    """Return who answers for the services that the configuration in a file names: they, or else what they said last.

    ``prefers_last``: the other way round, for commands that deploy nothing.
    """
    state_dir = head(config)
    path = Path(state_dir, SERVICES) if state_dir else None
    return RememberedSurvey(HostSurvey(), path, prefers_last=prefers_last)


@contextmanager
def opened(
    config: Config, listener: Listener = nobody, *, changes: bool = True, around: Around = nothing
) -> Iterator[Opened]:
    """Open everything that a configuration names, and close it again.

    With ``changes`` False nothing is made: a state that is not there yet is imagined empty.
    """
    clock = SystemClock()
    host_id = this_host()
    path = store_path(config.state_dir)
    try:
        there = Path(path).exists()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}; danelaw runs as root") from error
    store = SqliteStore(path if changes or there else ":memory:", clock, host_id)
    connect = dialled(config.connect)
    dns = AuthoritativeView(config.resolver, config.authoritative, clock)
    authorities: dict[str, AcmeAuthority] = {}
    try:
        host = LocalHost(config.state_dir, host_id, clock, [address for address, _ in connect.values()])
        publishers = {name: Rfc2136Publisher(spec, dns, clock) for name, spec in config.publishers.items()}
        rings: Rings = Rings(
            clock=clock,
            chance=SystemChance(),
            store=store,
            host=host,
            dns=dns,
            prober=Handshakes(clock),
            publishers=publishers,
            authorities=authorities,
            solver=lambda spec: solver(spec, clock, lambda text: rings.tell("detail", text)),
            connect=connect,
            listener=listener,
            senders=real_senders(config, connect, clock),
            host_id=host_id,
            visitor=HttpVisits(lambda host: dns.addresses(host)[0], connect, lambda text: rings.tell("progress", text)),
        )
        for name, ca in config.cas.items():
            authorities[name] = AcmeAuthority(ca, config.state_dir, clock, lambda text: rings.tell("progress", text))
        warnings = [f"dns.{name}: {each.warning}" for name, each in publishers.items() if each.warning]
        warnings += [said for spec in config.desired.certificates for said in host.key_warnings(spec)]
        yield Opened(config, around(rings), store, tuple(warnings))
    finally:
        for authority in authorities.values():
            authority.close()
        store.close()


@contextmanager
def solver(spec: CertificateSpec, clock: Clock, say: Progress) -> Iterator[Solver]:
    """Make a certificate's http-01 challenges answerable: below its webroots, or by our own listener.

    ``say`` hears what our listener leaves out. Raises `RetryLater` that names the holder where its port is not free.
    """
    if spec.http01.webroots:
        yield WebrootSolver(*spec.http01.webroots)
        return
    listener = ListenerSolver(spec.http01.listen)
    ends = uptime(clock) + FREEING
    with ExitStack() as stack:
        stack.push(listener)  # before it is entered: being told to stop may come in the midst of that
        while True:
            try:
                listener.__enter__()
                break
            except Refused as taken:
                if spec.pre_challenge is None or uptime(clock) >= ends:
                    raise RetryLater(str(taken)) from taken
            clock.sleep_until(clock.now() + PAUSE)
        for left_out in listener.left_out:
            say(left_out)
        yield listener
