"""Does what the CA will ask for reach this host? Looked at before the CA is asked, at every address of every name.

A CA asks at any address of a name, as a rule at an IPv6 one first (RFC 8555 section 8.3 leaves it the choice). So a
probe is made answerable as a challenge would be, and fetched at each of them. Only an answer that is another host's or
another web server's refuses the order: who says nothing to this host, which may be behind NAT or a firewall, may answer
the CA all the same, and is a warning. Behind NAT the router may answer for its own outer address; so an address that is
not ours refuses nothing where this host has none of its kind; nor does an IPv4 one where all IPv6 ones of its name are
answered right, since a CA that asks these first has all it needs.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from danelaw.errors import DanelawError, Refused
from danelaw.model import CertificateSpec, Desired, Solver, Visit, Visited
from danelaw.names import format_host_port, mapped
from danelaw.run.ours import our_addresses
from danelaw.run.rings import Rings

PREFIX = "/.well-known/acme-challenge/"

Scope = tuple[int, str]
"""An IP version, and how far its address reaches."""


def check_reach(rings: Rings, spec: CertificateSpec, places: Mapping[str, Sequence[str]], solver: Solver) -> None:
    """Fetch a probe through each address of each name (``places``), said what is doubtful.

    Raises `Refused` with every address where the CA would be answered by somebody else.
    """
    if rings.visitor is None:
        return
    drawn = f"{rings.clock.now().isoformat()} {rings.chance.fraction()} {spec.name}"
    token = f"danelaw-{hashlib.sha256(drawn.encode()).hexdigest()[:32]}"
    answer = f"{token}.probe"
    visits = [Visit(name, address, PREFIX + token) for name in places for address in _asked(rings, name, places[name])]
    try:
        for name in places:
            solver.present(name, token, answer)
        found = rings.visitor.visit(visits)
    finally:
        _clean_up(rings, solver, places, token)
    # A CA of one's own may ask at another port, and so may a proxy that has port 80: then nothing here is certain.
    certain = bool(spec.http01.webroots) or any(port == 80 for _, port in spec.http01.listen)
    good = {visited.visit for visited in found if (visited.body or b"").strip() == answer.encode()}
    wrong = []
    for visited in found:
        if visited.visit in good:
            continue
        text, refuses = judge(rings, spec, visited, places[visited.visit.name])
        if refuses and certain and not _asked_elsewhere_first(visited.visit, visits, good):
            wrong.append(text)
        else:
            rings.tell("progress", text)
    if wrong:
        raise Refused("; ".join(wrong))


def say_elsewhere(rings: Rings, spec: CertificateSpec, places: Mapping[str, Sequence[str]]) -> None:
    """Say which names lead to other hosts, where nothing can be fetched yet."""
    mine = own_addresses(rings, spec)
    for name, addresses in places.items():
        for address in _asked(rings, name, addresses):
            if not _is_ours(rings, mine, name, address) and not _may_be_nat(mine, address):
                rings.tell("progress", f"{_elsewhere(name, address, addresses, mine)}: the CA asks there")


def own_addresses(rings: Rings, spec: CertificateSpec) -> frozenset[str]:
    """Return the addresses at which this host is known to be.

    Unlike for a proof, one that any deployment has is enough: who answers is looked at, too.
    """
    return our_addresses(Desired((spec,)), rings).anywhere


def judge(rings: Rings, spec: CertificateSpec, visited: Visited, addresses: Sequence[str]) -> tuple[str, bool]:
    """Return what a visit that did not bring the probe means, and whether it refuses the order."""
    visit, mine = visited.visit, own_addresses(rings, spec)
    where = f"http://{visit.name}{PREFIX} at {visit.address}"
    if _is_ours(rings, mine, visit.name, visit.address):
        if visited.silent:
            return f"{where} {visited.found}; the CA must be answered there", False
        webroots = ", ".join(spec.http01.webroots)
        remedy = (
            f"though an answer stands below {webroots}; give the document root of its virtual host as http01.webroot"
            if webroots
            else "and not as danelaw's listener does: something else has port 80 there; correct http01.listen"
        )
        return f"{where} {visited.found}, {remedy}", True
    elsewhere = _elsewhere(visit.name, visit.address, addresses, mine)
    if visited.silent:
        return f"{elsewhere}; it {visited.found}: the CA asks there, and must be answered", False
    if _may_be_nat(mine, visit.address):
        return (
            f"{elsewhere}; from here it {visited.found}: behind NAT that may be the router, and the CA decides",
            False,
        )
    remedy = (
        f"point {visit.name} to this host, let that one hand {PREFIX} on to it, or say by [connect] how "
        f'"{format_host_port(visit.address, 80)}" is reached from here'
    )
    return f"{elsewhere}, and http://{visit.name}{PREFIX} there {visited.found}: the CA asks there; {remedy}", True


def _asked_elsewhere_first(visit: Visit, visits: Sequence[Visit], good: AbstractSet[Visit]) -> bool:
    """Tell whether most CAs never come to an IPv4 address: the name has IPv6 ones too, and all of them answer right."""
    first = [each for each in visits if each.name == visit.name and ":" in each.address]
    return ":" not in visit.address and bool(first) and good >= set(first)


def _asked(rings: Rings, name: str, addresses: Sequence[str]) -> Sequence[str]:
    """Return the addresses to visit: one, where `[connect]` maps the name itself."""
    return addresses[:1] if mapped(rings.connect, name, "", 80) else addresses


def _is_ours(rings: Rings, mine: frozenset[str], name: str, address: str) -> bool:
    return address in mine or mapped(rings.connect, name, address, 80) is not None


def _elsewhere(name: str, address: str, addresses: Sequence[str], mine: frozenset[str]) -> str:
    ours = [each for each in addresses if each in mine]
    beside = f" (beside {', '.join(ours)}, which is)" if ours else ""
    first = "; most CAs ask IPv6 first" if ours and ":" in address else ""
    return f"{address}, an address of {name}, is not this host's{beside}{first}"


def _may_be_nat(mine: frozenset[str], address: str) -> bool:
    """Tell whether an address may lead here though no interface has it: none has one of its kind."""
    return scope(address) not in {scope(each) for each in mine}


def scope(address: str) -> Scope:
    """Return an address's IP version and how far it reaches: ``loopback``, ``link``, ``private`` or ``global``."""
    found = ipaddress.ip_address(address)
    if found.is_loopback:
        return found.version, "loopback"
    if found.is_link_local:
        return found.version, "link"
    return found.version, "global" if found.is_global else "private"


def _clean_up(rings: Rings, solver: Solver, names: Mapping[str, object], token: str) -> None:
    for name in names:
        try:
            solver.clean_up(name, token)
        except DanelawError as error:
            rings.tell("progress", f"{name}: the probe of its challenge stays behind: {error}")
