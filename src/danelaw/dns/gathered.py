"""What all servers said of one owner name, put together."""

from collections.abc import Mapping

from danelaw.dns.exchange import Address, parse_address
from danelaw.dns.message import Name, text_of
from danelaw.dns.reading import Alias, Answered, Bad, Verdict
from danelaw.dns.zones import Zone
from danelaw.errors import InputError
from danelaw.model import Reading, Unanswered

Found = dict[Name, tuple[Zone, dict[str, Verdict]]]
"""Of each name of a CNAME chain: its zone, and what each server (as text) says."""


class Gathered:
    """Readings and misses of one owner name, put together from every zone of its CNAME chain.

    Where servers disagree about a CNAME, what those without it serve counts beside what stands at its target: senders
    may be given either. A server that is asked in both roles is named ``ADDRESS at NAME`` in the second.
    """

    def __init__(self, owner: str, name: Name, target: Name, found: Found) -> None:
        self._owner, self._name, self._target, self._found = owner, name, target, found
        self.servers: dict[str, int] = {}
        self.readings: list[tuple[Reading, Answered, Name]] = []
        self.unanswered: list[Unanswered] = []
        self._left_out: set[str] = set()
        self.listed: set[str] = set()
        aliases = [v.ttl for _, verdicts in found.values() for v in verdicts.values() if isinstance(v, Alias)]
        self._cname_ttl = max(aliases, default=0)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the servers left out, sorted."""
        return tuple(sorted(self._left_out))

    def address(self, label: str) -> Address | None:
        """Return the address that a server's label stands for."""
        try:
            return parse_address(label.partition(" ")[0])
        except InputError:
            return None

    def add_all(self) -> None:
        """Take every name's servers, the target's first."""
        for name in (self._target, *(n for n in self._found if n != self._target)):
            zone, verdicts = self._found[name]
            self._left_out.update(zone.left_out)
            for server, ttl in zone.servers.items():
                self.listed.add(str(server))
                self._add(str(server), verdicts[str(server)], name, ttl)
            for ns, problem in zone.unresolved.items():
                self.servers.setdefault(ns, max(zone.servers.values(), default=0))
                self.unanswered.append(Unanswered(self._owner, ns, problem))

    def add_dropped(self, verdicts: Mapping[str, Verdict]) -> None:
        """Take servers that NS names no more. They stay out of ``servers``, else they would never be forgotten."""
        for server, verdict in verdicts.items():
            self._add(server, verdict, self._target, None)

    def _add(self, server: str, verdict: Verdict, name: Name, ttl: int | None) -> None:
        if isinstance(verdict, Alias):
            return
        label = server if server not in self.servers else f"{server} at {text_of(name)}"
        if ttl is not None:
            self.servers[label] = ttl
        if not isinstance(verdict, Answered):
            problem = verdict.problem if isinstance(verdict, Bad) else f"refers to {text_of(verdict.zone)}"
            self.unanswered.append(Unanswered(self._owner, label, problem))
            return
        at_target = name == self._target and name != self._name
        reading = Reading(
            owner=self._owner,
            server=label,
            rcode=verdict.rcode,
            rdatas=verdict.rdatas,
            ttl=verdict.ttl,
            original_ttl=verdict.original_ttl,
            cname_ttl=self._cname_ttl if at_target else 0,
            rrsig_expires=verdict.rrsig_expires,
            target=text_of(name) if at_target else "",
        )
        self.readings.append((reading, verdict, name))
