"""Who serves the zoo: a BIND of its own, and beside it servers that misbehave."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from danelaw.dns import message as wire
from dnszoo.making import SERVER
from fakes.dns_peer import Peer, Reply, answer_to
from world.nameservers import serves
from world.server import Server, write

REFUSING, LAME, SILENT, CLOSED = "127.53.9.2", "127.53.9.3", "127.53.9.4", "127.53.9.5"
TLSA_FAILS, TLSA_DROPPED, TLSA_MISSING, TCP_MISSING = "127.53.9.6", "127.53.9.7", "127.53.9.8", "127.53.9.9"


def _asked(query: bytes) -> wire.Question:
    question = wire.parse(query).question
    assert question is not None
    return question


def _by_bind(query: bytes) -> bytes:
    """Return what BIND answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(query, (SERVER, 53))
        return sock.recv(65535)


def _for_tlsa(reply: Reply) -> Reply:
    return lambda query: reply(query) if _asked(query).rrtype == wire.TLSA else _by_bind(query)


def _nothing_at_tcp(query: bytes) -> bytes:
    """Deny `_tcp` names, as if no name with records could stand below them."""
    return answer_to(query, rcode=3) if _asked(query).name.labels[0] == b"_tcp" else _by_bind(query)


MISBEHAVING: Mapping[str, Reply] = {
    REFUSING: lambda query: answer_to(query, rcode=5),
    LAME: lambda query: answer_to(query, flags=0x8000),
    SILENT: lambda _: None,
    TLSA_FAILS: _for_tlsa(lambda query: answer_to(query, rcode=2)),
    TLSA_DROPPED: _for_tlsa(lambda _: None),
    TLSA_MISSING: _for_tlsa(lambda query: answer_to(query, rcode=3)),
    TCP_MISSING: _nothing_at_tcp,
}
ADDRESSES = (SERVER, CLOSED, *MISBEHAVING)


class ZooServer(Server):
    """BIND with zones that are files, right or wrong."""

    name = "zoo"
    where = f"the zoo: BIND at {SERVER}"

    def __init__(self, folder: Path, files: Mapping[str, Path]) -> None:
        super().__init__(folder)
        self._files = files

    def configure(self) -> None:
        zones = "\n".join(
            f'zone "{name}" {{ type primary; file "{file}"; check-names ignore; check-integrity no; }};'
            for name, file in self._files.items()
        )
        write(
            self.folder / "named.conf",
            f"""options {{
    directory "{self.folder}"; listen-on port 53 {{ {SERVER}; }}; listen-on-v6 {{ none; }};
    pid-file "named.pid"; session-keyfile none; lock-file none; managed-keys-directory "{self.folder}";
    recursion no; dnssec-validation no; empty-zones-enable no; max-cache-size 4m; notify no;
}};
controls {{ }};
{zones}
""",
        )

    def argv(self) -> Sequence[str | Path]:
        return [self.own_copy("named"), "-g", "-n", "1", "-c", self.folder / "named.conf"]

    def ready(self) -> bool:
        return all(serves(SERVER, name, "expired") for name in self._files)


@contextmanager
def misbehaving() -> Iterator[None]:
    """Run the servers that misbehave."""
    with ExitStack() as ending:
        for address, reply in MISBEHAVING.items():
            ending.enter_context(Peer(reply, host=address, port=53))
        yield
