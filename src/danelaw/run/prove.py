"""The proof of a deployment: what is presented, not what the reload said.

Postfix reads its files when it starts a process, so after a reload single processes go on presenting the old chain, and
after a rename alone one of several already presents the new one. So a proof is eight simultaneous handshakes, twice, at
every address of this host and every endpoint, for the key's algorithm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from danelaw.lifecycle.sight import looked_at
from danelaw.model import Chain, Deployment, Desired, Fact, ProbeRequest, ProbeResult
from danelaw.names import format_host_port, mapped
from danelaw.run.clocks import uptime
from danelaw.run.look import every_place, probes, see
from danelaw.run.ours import our_addresses
from danelaw.run.rings import Rings

HANDSHAKES = 8
ROUNDS = 2
PATIENCE = timedelta(seconds=20)
"""How long a daemon may take to settle after its reload."""
PAUSE = timedelta(milliseconds=300)
BREATH = timedelta(milliseconds=100)
"""What a daemon gets between its reload and the first handshake. Nothing depends on it but time: a reload is a signal,
and whoever connects in the same instant waits a second at a worker of Postfix that is about to end."""


def prove(
    desired: Desired, rings: Rings, deployment: Deployment, chain: Chain | None
) -> tuple[list[Fact], str, str | None]:
    """Shake hands until every address presents the chain in two rounds running, or patience runs out.

    Returns the facts of the last round, the evidence, and the failure in words (None: proven). ``chain`` None (what
    stood there before us and cannot be read) asks only that every handshake succeeds.
    """
    clock = rings.clock
    clock.sleep_until(clock.now() + BREATH)
    started = uptime(clock)
    while (asked := _requests(desired, rings, deployment, chain)).problem:
        if not asked.may_pass or uptime(clock) - started > PATIENCE:
            return [], "", asked.problem
        clock.sleep_until(clock.now() + PAUSE)
    requests = asked.requests
    started = uptime(clock)
    passed, told = 0, False
    deploys_chain = any("chain" in file.parts for file in deployment.files)
    length = len(chain.certificates_der) if chain and deploys_chain else 1
    while True:
        results = rings.prober.probe(requests)
        failure = _failure(results, deployment, chain, length)
        passed = 0 if failure else passed + 1
        spent = uptime(clock) - started
        if passed == ROUNDS or (failure and spent > PATIENCE):
            facts = see(rings.store.snapshot(), results, our_addresses(desired, rings), clock.now())
            return facts, _evidence(rings, asked, results), failure
        if failure:
            if not told and spent > timedelta(seconds=1):
                rings.tell("progress", f"waiting for the services to settle: {failure}")
                told = True
            clock.sleep_until(clock.now() + PAUSE)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The handshakes that a proof makes, or why it cannot be made; ``may_pass``: another try may end that.

    ``last_known`` says of which endpoints the addresses are those of an earlier look, and why.
    """

    requests: tuple[ProbeRequest, ...]
    problem: str = ""
    may_pass: bool = False
    last_known: str = ""


def _requests(desired: Desired, rings: Rings, deployment: Deployment, chain: Chain | None) -> _Asked:
    """Return the handshakes with every endpoint at every address of this host; none of them is left out silently.

    A look-up that fails says nothing about the service: the addresses of the last one are as good for it.
    """
    mine = our_addresses(desired, rings)
    facts, now = rings.store.snapshot(), rings.clock.now()
    algorithm = chain.algorithm if chain and chain.algorithm != "other" else None
    requests: list[ProbeRequest] = []
    lost: list[str] = []
    others: list[str] = []
    last_known: list[str] = []
    for endpoint, places in every_place(rings, deployment.endpoints).items():
        addresses = places.addresses or looked_at(facts, endpoint, timedelta(0), now)
        ours = [address for address in addresses if address in mine.at(endpoint)]
        requests.extend(probes(rings, endpoint, ours, [algorithm], HANDSHAKES))
        if places.problem:
            (last_known if ours else lost).append(f"{endpoint}: {places.problem}")
        elif not ours:
            others.append(f"{endpoint} ({', '.join(addresses)})")
    if others:
        lost.append(f"no address of this host is among those of {', '.join(others)}; set `addresses`, or mend DNS")
    return _Asked(
        tuple(requests), "; ".join(dict.fromkeys(lost)), may_pass=not others, last_known="; ".join(last_known)
    )


def _failure(results: Sequence[ProbeResult], deployment: Deployment, chain: Chain | None, length: int) -> str | None:
    for result in results:
        where = f"{result.request.endpoint} at {result.request.address}"
        if result.not_offered:
            return f"{where} offers no {result.request.algorithm} certificate; {_name_it(deployment)}"
        if result.problem:
            return f"{where}: {result.problem}"
        if chain is None:
            continue
        others = [seen for seen in result.chains if seen.leaf_sha256 != chain.leaf_sha256]
        if others:
            return (
                f"{where}: {len(others)} of {len(result.chains)} handshakes presented another certificate "
                f"({others[0].leaf_sha256[:16]}…)"
            )
        cut = min(len(seen.certificates_der) for seen in result.chains)
        if cut < length:
            return f"{where}: the chain is incomplete, {cut} of {length} certificates"
    return None


def _name_it(deployment: Deployment) -> str:
    """Say what a service that was reloaded and presents nothing of an algorithm lacks: its files' names."""
    paths = " and ".join(file.path for file in deployment.files)
    return f"where its configuration does not name {paths} yet, add that, then run apply --retry-now"


def _evidence(rings: Rings, asked: _Asked, results: Sequence[ProbeResult]) -> str:
    ports: dict[str, dict[int, None]] = {}
    addresses: dict[str, dict[str, None]] = {}
    through: dict[str, None] = {}
    for request in asked.requests:
        ports.setdefault(request.endpoint.host, {})[request.endpoint.port] = None
        addresses.setdefault(request.endpoint.host, {})[request.address] = None
        if mapped(rings.connect, request.endpoint.host, request.address, request.endpoint.port):
            through[f"{request.endpoint} by way of {format_host_port(*request.connect)}"] = None
    places = "; ".join(
        f"{host}:{','.join(map(str, ports[host]))} at {', '.join(sorted(addresses[host]))}" for host in ports
    )
    few = [f"{result.at_once} at {result.request.endpoint}" for result in results if result.at_once]
    limits = f"; no more at once than {', '.join(dict.fromkeys(few))}" if few else ""
    maps = f"; through [connect]: {', '.join(through)}" if through else ""
    last = f"; at the addresses of an earlier look: {asked.last_known}" if asked.last_known else ""
    return f"{HANDSHAKES} simultaneous handshakes, {ROUNDS} times, present it: {places}{limits}{maps}{last}"
