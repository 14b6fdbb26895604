"""Which addresses are this host's: its interfaces', both sides of `[connect]`, or those that `addresses` names."""

from collections.abc import Mapping
from dataclasses import dataclass

from danelaw.model import Desired, Endpoint
from danelaw.names import is_address, parse_host_port
from danelaw.run.rings import Rings


@dataclass(frozen=True, slots=True)
class Ours:
    """The addresses of this host. ``stated`` are those of `addresses`, by host and port: there they alone count.

    ``dialled`` is where `[connect]` leads from each ``HOST:PORT``.
    """

    everywhere: frozenset[str]
    stated: Mapping[tuple[str, int], frozenset[str]]
    dialled: Mapping[str, tuple[str, int]]

    def at(self, endpoint: Endpoint) -> frozenset[str]:
        """Return the addresses at which an endpoint is this host's; a pinned one, or one mapped by name, is one."""
        found = self.stated.get((endpoint.host, endpoint.port), self.everywhere)
        if endpoint.connect:
            found |= {endpoint.connect}
        if str(endpoint) in self.dialled:
            found |= {self.dialled[str(endpoint)][0]}
        return found

    @property
    def anywhere(self) -> frozenset[str]:
        """Return every address that is this host's at some endpoint."""
        return self.everywhere.union(*self.stated.values())


def our_addresses(desired: Desired, rings: Rings) -> Ours:
    """Return this host's addresses.

    ``addresses`` of a deployment stand in the place of the others for what it proves and watches, and only there: two
    deployments may be reached in different ways. Where several deploy to one host and port, each adds its own.
    """
    stated: dict[tuple[str, int], frozenset[str]] = {}
    for deployment in (deployment for spec in desired.certificates for deployment in spec.deployments):
        for endpoint in (*deployment.endpoints, *deployment.watched) if deployment.addresses else ():
            at = (endpoint.host, endpoint.port)
            stated[at] = stated.get(at, frozenset()) | frozenset(deployment.addresses)
    targets = {address for address, _ in rings.connect.values()}
    sources = {host for host in (parse_host_port(key)[0] for key in rings.connect) if is_address(host)}
    return Ours(rings.host.addresses() | targets | sources, stated, rings.connect)
