"""The dialer beside Prosody: how TLS starts in XMPP (RFC 6120 section 5)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chains import issue, p256, rsa2048
from danelaw.model import AppProtocol, Handshake, KeyAlgorithm, Shaken
from danelaw.probe import Dialer
from fakes.running_clock import RunningClock
from integration.tls_servers import Address, prosody_server

DOMAIN = "example.org"
IDENTITY = issue(DOMAIN, issue("Root", ca=True, key=rsa2048(), at=datetime.now(UTC)), key=p256(), at=datetime.now(UTC))
KINDS: list[AppProtocol] = ["xmpp-client", "xmpp-server"]


@contextmanager
def serving(folder: Path, *, tls: bool = True) -> Iterator[dict[AppProtocol, Address]]:
    with prosody_server(folder, IDENTITY, DOMAIN, tls=tls) as (clients, servers):
        yield {"xmpp-client": clients, "xmpp-server": servers}


def shake(address: Address, protocol: AppProtocol, origin: str, algorithm: KeyAlgorithm | None = None) -> Shaken:
    question = Handshake("xmpp.example.org", *address, protocol, algorithm, origin)
    return asyncio.run(Dialer(RunningClock()).shake(question))


def test_prosody_presents_its_chain_to_clients_and_servers_and_refuses_strangers(tmp_path: Path) -> None:
    with serving(tmp_path) as addresses:
        for kind in KINDS:
            shaken = shake(addresses[kind], kind, DOMAIN)
            assert (shaken.failure, shaken.detail) == (None, "")
            assert shaken.chain is not None
            assert shaken.chain.certificates_der == IDENTITY.chain_der
            assert shaken.version == "TLSv1.3"
            assert shaken.banner.startswith("<stream:stream ")
            assert shake(addresses[kind], kind, DOMAIN, "ecdsa").chain == shaken.chain
            assert shake(addresses[kind], kind, DOMAIN, "rsa").failure == "not-offered"
        stranger = shake(addresses["xmpp-client"], "xmpp-client", "other.example")
        assert stranger.failure == "rejected"
        assert stranger.detail.endswith("sent an error where its stream features was expected: 'host-unknown'")


@pytest.mark.parametrize("kind", KINDS)
def test_prosody_without_tls_does_not_offer_it(kind: AppProtocol, tmp_path: Path) -> None:
    with serving(tmp_path, tls=False) as addresses:
        shaken = shake(addresses[kind], kind, DOMAIN)
    assert shaken.failure == "no-starttls"
    assert shaken.detail.endswith("does not offer STARTTLS among its stream features")
