"""Dovecot, 2.3 and 2.4: doveconf says what the login services read, and where they listen (doc/settings/core)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from danelaw.deploy.services import refusals
from danelaw.deploy.services.refusals import Ask
from danelaw.errors import Unsuited
from danelaw.model import AppProtocol, FileSpec, KeyAlgorithm, Service, ServiceSetup
from danelaw.names import BadName, a_label, covers

SERVICE = Service("dovecot", test=("doveconf", "-n"), reload=("doveadm", "reload"))

_BY_HAND = "the files, reload and prove by hand"
_LOGINS: dict[str, tuple[AppProtocol, AppProtocol]] = {
    "imap": ("imap", "imaps"),
    "pop3": ("pop3", "pop3s"),
    "submission": ("smtp", "smtps"),
}
"""What a login service speaks where TLS starts by STARTTLS, and where at once. ManageSieve's is no `AppProtocol`."""

_SSL_SERVER = "ssl_server"
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OLD = (("ssl_cert", "ssl_key"), ("ssl_alt_cert", "ssl_alt_key"))
_NEW = (
    ("ssl_server_cert_file", "ssl_server_key_file"),
    ("ssl_server_alt_cert_file", "ssl_server_alt_key_file"),
)


@dataclass(slots=True)
class Block:
    """A block of doveconf's output: ``inet_listener imaps { … }``. ``kind`` is its first word, ``name`` the rest."""

    kind: str = ""
    name: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)

    def all(self) -> Iterator["Block"]:
        """Yield every block inside, at any depth."""
        for block in self.blocks:
            yield block
            yield from block.all()


def survey(ask: Ask, names: Sequence[str], algorithm: KeyAlgorithm, *, has_files: bool = False) -> ServiceSetup:
    """Return what Dovecot reads and where it listens; parameters and errors as of `model.Survey.look`."""
    said = ask(["doveconf", "-n"])
    changed = parse(said)
    pairs = _NEW if re.search(r"^# 2\.([4-9]|\d\d)", said) else _OLD
    wanted = [name for pair in pairs for name in pair]
    whole = parse(
        ask(["doveconf", "ssl", *(wanted if pairs is _OLD else ()), "protocols", "hostname", "listen", "service"])
    )
    if pairs is _NEW:  # asked for by name these are empty; 2.3 hides the keys where it is asked for all
        whole.settings |= {name: changed.settings.get(name, "") for name in wanted}
    ports, warnings = _ports(whole)
    odd = _odd(changed, pairs, names)
    files: tuple[FileSpec, ...] = ()
    if odd is not None and not has_files:
        raise Unsuited(odd, f"the same files for every name and protocol; or {_BY_HAND}")
    if odd is not None:
        warnings.append(f"{odd}; prove is to name the endpoints that present the files given here")
    elif has_files:
        try:
            files, _ = _files(whole, pairs, algorithm)
        except Unsuited as unsuited:  # nothing to compare the given files with
            warnings.append(f"{unsuited.found}, and what it reads is not known")
    else:
        files, settings = _files(whole, pairs, algorithm)
        refusals.check_paths(ask, settings)
    return ServiceSetup(SERVICE, files, ports, _own_name(whole, said), tuple(warnings))


def parse(said: str) -> Block:
    """Return doveconf's output as a tree; what is neither a setting nor a block is left out.

    The settings in ``ssl_server { … }``, as 2.4 prints them, are those of the block around it, by their full names.
    """
    root = Block()
    inside: list[tuple[Block, str]] = [(root, "")]
    for line in map(str.strip, said.splitlines()):
        block, prefix = inside[-1]
        if line == "}":
            if len(inside) > 1:
                inside.pop()
        elif line == f"{_SSL_SERVER} {{":
            inside.append((block, f"{_SSL_SERVER}_"))
        elif line.endswith("{") and not line.startswith("#"):
            kind, _, name = line.removesuffix("{").strip().partition(" ")
            block.blocks.append(Block(kind, name.strip().strip('"')))
            inside.append((block.blocks[-1], ""))
        elif not line.startswith("#"):
            name, equals, value = line.partition("=")
            if equals:
                block.settings[prefix + name.strip()] = value.strip().strip('"').strip()
    return root


def _own_name(whole: Block, said: str) -> tuple[str, ...]:
    """Return the host's name, as ``hostname`` says, else as doveconf's first lines do."""
    header = re.search(r"^# Hostname: (\S+)", said, re.MULTILINE)
    try:
        return (a_label(whole.settings.get("hostname") or (header[1] if header else "")),)
    except BadName:
        return ()


# ---------------------------------------------------------------------------------------------------------------- ports


def _ports(whole: Block) -> tuple[tuple[tuple[int, AppProtocol], ...], list[str]]:
    """Return the ports where others reach TLS, and what is left out, in words."""
    ssl = whole.settings.get("ssl", "")
    if ssl not in {"yes", "required"}:
        raise Unsuited(f"a Dovecot that offers no TLS (ssl = {ssl})", f"ssl = yes or required; or {_BY_HAND}")
    enabled = _protocols(whole)
    found: dict[int, AppProtocol] = {}
    warnings: list[str] = []
    for service in whole.blocks:
        protocol = service.settings.get("protocol", "")
        if service.kind != "service" or protocol not in _LOGINS or protocol not in enabled:
            continue
        starttls, at_once = _LOGINS[protocol]
        for listener in service.blocks:
            port = listener.settings.get("port", "")
            if listener.kind != "inet_listener" or not port.isdecimal() or not 1 <= int(port[:6]) <= 65535:
                continue  # 0: off
            own = listener.settings.get("address") or listener.settings.get("listen")
            addresses = set(re.split(r"[,\s]+", own or whole.settings.get("listen", "")))
            if addresses <= _LOOPBACK:
                continue
            if listener.settings.get("haproxy") == "yes":
                warnings.append(f"port {port} is behind a proxy (haproxy = yes), and is not proven")
                continue
            found[int(port)] = at_once if listener.settings.get("ssl") == "yes" else starttls
    if not found:
        raise Unsuited(
            "a Dovecot that listens for no IMAP, POP3 or submission of others",
            f"protocols = imap, and listen = *, ::; or {_BY_HAND}",
        )
    return tuple(sorted(found.items())), warnings


def _protocols(whole: Block) -> set[str]:
    """Return the enabled protocols: words in 2.3, in 2.4 perhaps a block of ``imap = yes``."""
    block = next((block for block in whole.blocks if block.kind == "protocols"), None)
    if block is not None:
        return {name for name, value in block.settings.items() if value == "yes"}
    return set(whole.settings.get("protocols", "").split())


# ---------------------------------------------------------------------------------------------------------------- files


def _odd(changed: Block, pairs: Sequence[tuple[str, str]], names: Sequence[str]) -> str | None:
    """Return in words what reads other files than the rest; None where nothing does that concerns these names."""
    settings = [name for pair in pairs for name in pair]
    for block in changed.blocks:
        at = f"{block.kind} {block.name}"
        of_names = block.kind == "local_name" and not any(
            covers(pattern, name) or covers(name, pattern) for pattern in block.name.split() for name in names
        )
        if of_names or block.kind not in {"local_name", "local", "remote", "protocol"}:
            continue
        for inner in (block, *block.all()):
            own = next((name for name in settings if inner.settings.get(name)), None)
            if own is not None and inner.settings[own] != changed.settings.get(own):
                return f"{at} {{ … }} in the configuration with {own} of its own"
    return None


def _files(
    whole: Block, pairs: Sequence[tuple[str, str]], algorithm: KeyAlgorithm
) -> tuple[tuple[FileSpec, ...], list[tuple[str, str]]]:
    """Return what is read for one key algorithm, and each path with its setting."""
    known: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {}
    for certificate_name, key_name in pairs:
        certificate, key = (_path(whole, name) for name in (certificate_name, key_name))
        if certificate and key:
            known.setdefault(key, ((certificate, certificate_name), (key, key_name)))
    if not known:
        certificate_name, key_name = pairs[0]
        sign = "<" if pairs is _OLD else ""
        expected = f"{certificate_name} = {sign}/etc/dovecot/tls.pem and {key_name} = {sign}/etc/dovecot/tls.key"
        raise Unsuited(f"a Dovecot without {certificate_name} and {key_name}", f"{expected}; danelaw writes them")
    chosen = refusals.by_algorithm(list(known), algorithm)
    if chosen is None:
        found = f"{' and '.join(known)}, where it is not clear which is the {algorithm} key"
        raise Unsuited(found, f"just one of them that holds a key of {algorithm} or nothing yet")
    certificate_setting, key_setting = known[chosen]
    settings = list(dict.fromkeys([certificate_setting, key_setting]))
    return refusals.pair(certificate_setting[0], key_setting[0]), settings


def _path(whole: Block, name: str) -> str:
    """Return the path that a setting has, "" where it has none.

    In 2.3 a setting is the file's content, and ``<`` reads it. What stands there itself, a key perhaps, is never shown.
    """
    value = whole.settings.get(name, "")
    if name.endswith("_file"):
        return value
    if value and not value.startswith("<"):
        raise Unsuited(f"{name} with something else than a file (not shown)", f"a file: {name} = </path")
    return value.removeprefix("<").strip()
