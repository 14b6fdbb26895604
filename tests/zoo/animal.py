"""What an animal is, as data: its hosts, what they present and how they behave, its records, and what is expected."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from danelaw.model import MAIL_SENDERS, Outcome, Sender

Home = Literal["zoo", "open.zoo", "bogus.zoo", "drops.zoo", "fails.zoo", "lies.zoo", "differs.zoo"]
"""Where a name stands in DNS: in the signed ``zoo.``, or in a zone below it that is odd in its own way."""

Manners = Literal[
    "proper",
    "plain",  # offers no STARTTLS
    "refuses",  # offers STARTTLS, and refuses it
    "greylists",  # 450 in its banner
    "rejects",  # 554 in its banner
    "old",  # TLS 1.0 and 1.1 alone
    "garbled",  # no TLS after STARTTLS
    "injects",  # plaintext behind its reply to STARTTLS
    "hangs-up",  # after STARTTLS
    "slow",  # two seconds before its banner
    "tls12",  # TLS 1.2 alone
    "tls13",  # TLS 1.3 alone
    "silent",
    "floods",  # a banner without end
    "long-line",  # a banner of 64 KiB in one line
    "deaf",  # nothing listens
    "by-name",  # presents its chain to those who ask for its name, and to others somebody else's
    "postfix",  # the world's own Postfix
    "web",  # no mail server: HTTPS, with the domain's MTA-STS policy
]

EMPTY = hashlib.sha256(b"").digest()
"""What a script publishes that lost the key on the way to its digest."""


class Pin(NamedTuple):
    """A TLSA record: what it pins is a name in the host's `Cast`, by default the leaf, or the root for usage 2."""

    usage: int
    selector: int
    matching_type: int
    of: str = ""
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """One address of a host: its manners, and the chains it presents, each of names in the `Cast`, leaf first."""

    chains: tuple[tuple[str, ...], ...] = (("leaf", "intermediate", "root"),)
    manners: Manners = "proper"


@dataclass(frozen=True, slots=True)
class Host:
    """One mail host, ``LABEL.ANIMAL.HOME``; the empty label is the domain itself.

    ``met`` is the name by which senders meet it, where that is an alias; ``base`` its TLSA base domain, where that is
    not its own name; ``owner`` is where ``pins`` stand, where that is not the base domain's owner name. ``{}`` in them
    stands for the domain.
    """

    label: str = "mail"
    pins: tuple[Pin, ...] = (Pin(3, 1, 1),)
    servers: tuple[Server, ...] = (Server(),)
    home: Home = "zoo"
    met: str = ""
    base: str = ""
    owner: str = ""


def everybody(outcome: Outcome) -> Mapping[Sender, Outcome]:
    """Return an outcome that all four senders come to."""
    return dict.fromkeys(MAIL_SENDERS, outcome)


def senders(postfix: Outcome, exim: Outcome, mox: Outcome, exchange: Outcome) -> Mapping[Sender, Outcome]:
    """Return an outcome for each."""
    return {"postfix": postfix, "exim": exim, "mox": mox, "exchange": exchange}


@dataclass(frozen=True, slots=True)
class Animal:
    """One domain, and all that is expected of it.

    ``mx`` are its MX records, by default one for each host at preference 10, 20 ...; ``{}`` in them and in ``lines``
    (further lines of its zone file) stands for the domain. ``home`` is where the domain itself stands. ``expected`` is
    the verdict of each sender on the domain, the worst of its endpoints, and ``status`` the exit status of
    `danelaw check`. ``codes`` are the codes of all errors and warnings among its findings,
    in one line. ``policy`` is its MTA-STS policy, "" where there is no server for one.
    """

    name: str
    says: str
    expected: Mapping[Sender, Outcome]
    status: Literal[0, 1, 3, 4]
    hosts: tuple[Host, ...] = (Host(),)
    mx: tuple[str, ...] | None = None
    home: Home = "zoo"
    lines: tuple[str, ...] = ()
    codes: str = ""
    policy: str = ""

    @property
    def domain(self) -> str:
        """Its domain, without the final dot."""
        return f"{self.name}.{self.home}"

    def host_name(self, host: Host) -> str:
        """Return the name of one of its hosts, without the final dot."""
        return ".".join(part for part in (host.label, self.name, host.home) if part)

    @property
    def is_postfix(self) -> bool:
        """Whether the world's own Postfix is among its servers."""
        return any(server.manners == "postfix" for host in self.hosts for server in host.servers)

    def met(self, host: Host) -> str:
        """Return the name by which senders meet a host."""
        return host.met.replace("{}", self.domain) or self.host_name(host)

    def base(self, host: Host) -> str:
        """Return a host's TLSA base domain (RFC 7672 section 2.2.3)."""
        return host.base.replace("{}", self.domain) or self.host_name(host)

    def owner(self, host: Host) -> str:
        """Return the owner name at which a host's records stand."""
        return host.owner.replace("{}", self.domain) or f"_25._tcp.{self.base(host)}"

    @property
    def mail_exchangers(self) -> tuple[str, ...]:
        """The data of its MX records."""
        if self.mx is not None:
            return tuple(line.replace("{}", self.domain) for line in self.mx)
        return tuple(f"{10 * number} {self.met(host)}." for number, host in enumerate(self.hosts, 1))
