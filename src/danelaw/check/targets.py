"""What people write for the target of a check, and how TLS starts there."""

import re
from typing import get_args

from danelaw.errors import InputError
from danelaw.model import AppProtocol, Target
from danelaw.names import BadName, a_label, canonical_address, default_protocol, is_address, parse_host_port

_SRV: dict[str, AppProtocol] = {
    "submission": "smtp",
    "imap": "imap",
    "imaps": "imaps",
    "pop3": "pop3",
    "pop3s": "pop3s",
    "submissions": "smtps",
    "xmpp-client": "xmpp-client",
    "xmpp-server": "xmpp-server",
}
"""How TLS starts where a SRV label leads (RFC 6186 section 3, RFC 8314 section 5.1, RFC 6120 section 3.2.1)."""

_ALIASES: dict[str, AppProtocol] = {"submission": "smtp", "submissions": "smtps"}
_PORTS: dict[int, AppProtocol] = {5222: "xmpp-client", 5269: "xmpp-server"}

PROTOCOLS: tuple[str, ...] = (*get_args(AppProtocol), *_ALIASES)
"""What ``--protocol`` takes."""

_OWNER = re.compile(r"_(\d{1,5})\._tcp\.(.+?)\.?", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def parse_target(text: str, protocol: str | None = None, service: str | None = None) -> Target:
    """Return what a text says is to be checked.

    A domain is checked by its MX hosts, or by the SRV records of ``service`` (or of a ``protocol`` that has some); of
    an e-mail address it is the domain. ``host:port`` and ``[IPv6]:port`` are one endpoint, whose ``protocol`` is that
    of the well-known port unless it is given. Raises `InputError`, which says what to write in its place.
    """
    text = text.strip()
    if protocol is not None and protocol not in PROTOCOLS:
        raise InputError(f'--protocol: "{_shown(protocol)}" is not known; expected one of {", ".join(PROTOCOLS)}')
    _refuse_other_forms(text)
    try:
        if _has_port(text):
            return _endpoint(text, protocol, service)
        return _domain(text, protocol, service)
    except BadName as error:
        raise InputError(f"{error}; expected a domain, HOST:PORT or [IPV6]:PORT") from None


def _has_port(text: str) -> bool:
    return ":" in text and not is_address(text.removeprefix("[").removesuffix("]"))


def _refuse_other_forms(text: str) -> None:
    """Say what to write in place of what people know from elsewhere."""
    text = shown = _shown(text)
    if "://" in text or "/" in text:
        host = re.sub(r"[?#].*", "", text.rpartition("://")[2].partition("/")[0].rpartition("@")[2])
        wanted = host if _has_port(host) else f"{host or 'HOST'}:443"
        raise InputError(f'"{shown}" is a URL; write {wanted} for its web server, or the domain for its mail')
    owner = _OWNER.fullmatch(text)
    if owner:
        raise InputError(f'"{shown}" is a TLSA owner name; write {owner[2]}:{owner[1]}')


def _endpoint(text: str, protocol: str | None, service: str | None) -> Target:
    host, port = parse_host_port(text)
    if service:
        raise InputError(f"{text}: --service is for a domain, whose SRV records name the port; here it is given")
    how = _ALIASES.get(protocol, _protocol(protocol)) if protocol else _PORTS.get(port) or default_protocol(port)
    if how is None:
        raise InputError(f"{text}: port {port} does not say how TLS starts; give --protocol ({', '.join(PROTOCOLS)})")
    return Target(host, port, how)


def _domain(text: str, protocol: str | None, service: str | None) -> Target:
    local, at, domain = text.rpartition("@")
    text = domain if at and local else text  # mail to somebody goes where the domain says
    bare = text.removeprefix("[").removesuffix("]")
    if is_address(bare):
        address = canonical_address(bare)
        written = f"[{address}]" if ":" in address else address
        raise InputError(f"{address} is an address, and DANE is about names; write HOST:PORT, or {written}:PORT")
    name = a_label(text)
    if service:
        return _service(name, service.lower().removeprefix("_").removesuffix("._tcp"), protocol)
    if protocol is None or protocol == "smtp":
        return Target(name)
    if protocol in _SRV:
        return Target(name, None, _SRV[protocol], protocol)
    if protocol == "https":
        return Target(name, 443, "https")  # the web has no SRV records: the name is the host
    raise InputError(f"{name}: with --protocol {protocol} the port is needed; write {name}:PORT")


def _service(name: str, label: str, protocol: str | None) -> Target:
    if not _LABEL.fullmatch(label):
        raise InputError(f'--service: "{_shown(label)}" is no SRV label; expected one such as xmpp-client')
    how = _ALIASES.get(protocol, _protocol(protocol)) if protocol else _SRV.get(label)
    if how is None:
        raise InputError(f"--service {label} does not say how TLS starts; give --protocol ({', '.join(PROTOCOLS)})")
    return Target(name, None, how, label)


def _protocol(text: str) -> AppProtocol | None:
    known: tuple[AppProtocol, ...] = get_args(AppProtocol)
    return next((each for each in known if each == text), None)


def _shown(text: str) -> str:
    """Return text for a message, short and printable."""
    return "".join(c if c.isprintable() else "?" for c in text[:120])
