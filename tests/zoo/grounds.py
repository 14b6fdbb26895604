"""The zoo, open: every animal's records stand in DNS, and its servers listen."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chains import Issued
from world import Authority, ServiceName, World, layout
from world.server import write
from zoo.animal import Animal, Host, Pin
from zoo.cast import Cast
from zoo.nameservers import NameServers
from zoo.smtp import MailServers, Presented

SERVICES: frozenset[ServiceName] = frozenset({"bind", "unbound", "postfix"})
"""What of the world it needs."""


_PREVIOUS = Pin(3, 1, 1, "second")


@dataclass(slots=True)
class Enclosure:
    """Where an animal is: its hosts' addresses, and the zone file lines that stand for it, with absolute names.

    ``before`` are those that a name server shows which missed the last change of key.
    """

    animal: Animal
    addresses: Mapping[str, Sequence[str]]
    casts: Mapping[str, Cast]
    lines: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)


def enclose(animals: Sequence[Animal], postfix: Issued) -> list[Enclosure]:
    """Give every animal addresses, certificates and records; ``postfix`` is what the world's own presents."""
    return [_enclose(number, animal, postfix) for number, animal in enumerate(animals)]


def _enclose(number: int, animal: Animal, postfix: Issued) -> Enclosure:
    addresses: dict[str, Sequence[str]] = {}
    casts: dict[str, Cast] = {}
    taken = 0
    for host in animal.hosts:
        own = [f"127.26.{number}.{taken + at}" for at, _ in enumerate(host.servers, 1)]
        taken += len(own)
        addresses[host.label] = layout.MAIL if host.servers[0].manners == "postfix" else own
        casts[host.label] = Cast(animal.host_name(host), animal.domain, casts, {"postfix": postfix})
    enclosure = Enclosure(animal, addresses, casts)
    lines = [f"{animal.domain}. MX {mx}" for mx in animal.mail_exchangers]
    lines += [_absolute(line.replace("{}", animal.domain)) for line in animal.lines]
    for host in animal.hosts:
        name = animal.host_name(host)
        lines += [f"{name}. A {address}" for address in addresses[host.label]]
        owner = animal.owner(host)
        cast = casts[host.label]
        records = [f"{owner}. TLSA {cast.record(pin)}" for pin in host.pins]
        lines += records
    enclosure.lines = lines
    previous = [f"{animal.owner(host)}. TLSA {casts[host.label].record(_PREVIOUS)}" for host in animal.hosts]
    enclosure.before = [*lines, *previous]
    return enclosure


def web_root(world: World) -> Path:
    """Return the file with the root certificate of the zoo's web servers, PEM."""
    return world.folder / "zoo-web-root.pem"


def _policies(enclosures: Sequence[Enclosure], world: World) -> Iterator[tuple[str, Presented]]:
    """Give every animal with an MTA-STS policy a web server."""
    authority = Authority("A root that browsers trust")
    write(web_root(world), authority.root_pem)
    for number, enclosure in enumerate(enclosures):
        if animal := enclosure.animal if enclosure.animal.policy else None:
            name, address = f"mta-sts.{animal.domain}", f"127.26.{number}.200"
            enclosure.lines.append(f"{name}. A {address}")
            page = animal.policy.replace("{}", animal.domain)
            yield address, Presented(name, "web", [authority.issue([name]).combined_pem], page)


def _absolute(line: str) -> str:
    """Give the names in a line of an animal their final dots."""
    name, rdtype, data = line.split(" ", 2)
    return f"{name}. {rdtype} {data}{'.' if rdtype == 'CNAME' else ''}"


def _presented(enclosure: Enclosure, host: Host) -> Iterator[tuple[str, Presented]]:
    cast = enclosure.casts[host.label]
    for address, server in zip(enclosure.addresses[host.label], host.servers, strict=False):
        pems = [cast[chain[0]].key_pem + cast.chain_pem(chain) for chain in server.chains]
        yield address, Presented(enclosure.animal.host_name(host), server.manners, pems)


def of_postfix(world: World) -> Issued:
    """Return what the world's own services present."""
    identity = world.initial
    key = load_pem_private_key(identity.key_pem, None)
    return Issued(key, identity.leaf)  # type: ignore[arg-type]  # RSA or ECDSA, as the world makes them


@contextmanager
def opened(world: World, animals: Sequence[Animal]) -> Iterator[list[Enclosure]]:
    """Open the zoo inside a world that is up; yield where everybody is."""
    enclosures = enclose(animals, of_postfix(world))
    servers = dict(_policies(enclosures, world))
    for enclosure in enclosures:
        for host in enclosure.animal.hosts:
            servers.update(_presented(enclosure, host))
    for address in servers:
        if address not in layout.MAIL:
            world.namespace.add_address(address)
    lines = [line for enclosure in enclosures for line in enclosure.lines]
    before = [line for enclosure in enclosures for line in enclosure.before]
    with ExitStack() as ending:
        ending.enter_context(NameServers(world, lines, before))
        ending.enter_context(MailServers(servers))
        yield enclosures
