"""Postfix itself: one message to every animal through the world's own Postfix, and what its log says became of it."""

import re
import smtplib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from world import World, layout, wait_until
from world.server import Server
from world.tools import run

PATIENCE = ("smtp_connect_timeout", "smtp_helo_timeout", "smtp_starttls_timeout", "smtp_quit_timeout")
"""What Postfix waits minutes for, and here a few seconds: nobody in the zoo is slow by chance."""

_DELIVERY = re.compile(r"postfix/smtp\[\d+\]: .* to=<postmaster@([^>]+)>, relay=(\S+), .*status=(\w+) \((.*)\)")
_TLS = re.compile(r"postfix/smtp\[\d+\]: (\w+) TLS connection established to (\S+): ")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message: Postfix's status, with its reason, and its word for the TLS session ("" for none)."""

    status: Literal["sent", "deferred", "bounced"]
    reason: str
    tls: str = ""


def send(world: World, domains: Collection[str]) -> Mapping[str, Delivery]:
    """Send one message to the postmasters of all domains; return what became of each when it was first tried."""
    postfix = world.postfix
    run("postconf", "-c", postfix.config_dir, "-e", *(f"{name} = 5s" for name in PATIENCE))
    run(*postfix.reload)
    recipients = [f"postmaster@{domain}" for domain in domains]
    with smtplib.SMTP(layout.MAIL[0], timeout=20) as client:
        client.sendmail(f"zoo@{layout.DOMAIN}", recipients, "Subject: zoo\r\n\r\nHello\r\n")
    tried = partial(_tried, postfix, frozenset(domains))
    wait_until(tried, "Postfix does not try every domain", postfix.last_words)
    return deliveries(postfix)


def _tried(postfix: Server, domains: frozenset[str]) -> bool:
    return deliveries(postfix).keys() >= domains


def deliveries(postfix: Server) -> Mapping[str, Delivery]:
    """Return what the log says so far, by domain."""
    log = postfix.log.read_text(errors="replace")
    sessions = {server: word for word, server in _TLS.findall(log)}
    return {
        domain: Delivery(status, reason, sessions.get(relay, ""))
        for domain, relay, status, reason in _DELIVERY.findall(log)
    }
