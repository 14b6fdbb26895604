"""The kinds of values that the config has: each takes what TOML gave and returns what danelaw uses, or raises `Unfit`.

A kind never coerces: ``true`` is no number, ``640`` no mode, a string no command. The message shows what was meant.
"""

# ruff: noqa: PTH110, PTH112, PTH116, PTH118 - os.path answers False where Path raises (EACCES, ENAMETOOLONG)

import json
import os
import re
import shlex
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from typing import cast, get_args

from danelaw.config.table import Unfit, describe, did_you_mean
from danelaw.model import AppProtocol, RecordSpec, TlsaRecord
from danelaw.names import BadName, a_label, canonical_address, format_host_port, is_address, parse_host_port

MAX_SPAN = timedelta(days=3650)

_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MODE = re.compile(r"0?[0-7]{3}")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_PARAMETERS = re.compile(r"([0-9]{1,3}) +([0-9]{1,3}) +([0-9]{1,3})")
_RECORD = re.compile(_PARAMETERS.pattern + r" +([0-9A-Fa-f]{2}[0-9A-Fa-f ]*)")
_CONTACT = re.compile(r"[^\s@,?%<>]+@([^\s@]+)")


def text(value: object) -> str:
    """Return a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise Unfit(describe(value), 'text in quotes, such as "…"')
    return value


def boolean(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise Unfit(describe(value), "true or false, without quotes")
    return value


def integer(lowest: int, highest: int) -> Callable[[object], int]:
    """Return the kind of a whole number between two bounds, both included."""

    def kind(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise Unfit(describe(value), f"a whole number from {lowest} to {highest}, without quotes")
        return value

    return kind


port = integer(1, 65535)


def one_of(*choices: str) -> Callable[[object], str]:
    """Return the kind of a word out of a few."""

    def kind(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            hint = did_you_mean(value, choices) if isinstance(value, str) else ""
            raise Unfit(describe(value) + hint, "one of " + ", ".join(f'"{each}"' for each in choices))
        return value

    return kind


def span(lowest: timedelta) -> Callable[[object], timedelta]:
    """Return the kind of a duration such as ``"15m"``, of at least ``lowest`` and at most ten years."""

    def kind(value: object) -> timedelta:
        match = _SPAN.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            example = f"{value}s" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "15m"
            raise Unfit(
                describe(value), f'a duration such as "{example}": a number and one of s, m, h, d, w, in quotes'
            )
        # The bound comes first: nine digits of weeks are more than a timedelta holds.
        length = int(match[1]) * timedelta(**{_UNITS[match[2]]: 1}).total_seconds()
        if not lowest.total_seconds() <= length <= MAX_SPAN.total_seconds():
            raise Unfit(describe(value), f"a duration from {int(lowest.total_seconds())}s to {MAX_SPAN.days}d")
        return timedelta(seconds=length)

    return kind


timeout = span(timedelta(seconds=1))


def mode(value: object) -> int:
    """Return a file's mode: an octal number as text."""
    if isinstance(value, str) and _MODE.fullmatch(value) and int(value, 8) & 0o400:
        return int(value, 8)
    raise Unfit(describe(value), 'a mode as octal text that lets the owner read, such as "0640"')


def account(value: object) -> str:
    """Return the name or number of a user or group."""
    if isinstance(value, str) and len(value) <= 64 and _ACCOUNT.fullmatch(value):
        return value
    raise Unfit(describe(value), 'a user or group in quotes, such as "postfix"')


def command(value: object) -> tuple[str, ...]:
    """Return a command as an argument list; it is run without a shell."""
    example = '["systemctl", "reload", "postfix"]'
    if isinstance(value, str) and value.strip():
        with suppress(ValueError):  # unbalanced quotes: the general example says enough
            example = json.dumps(shlex.split(value), ensure_ascii=False)
        raise Unfit(describe(value), f"the list of its arguments, since no shell runs it: {example}")
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise Unfit(describe(value), f"a list of texts such as {example}")
    if not value[0].strip() or any("\0" in each for each in value):
        raise Unfit("an empty or impossible argument", f"a program and its arguments such as {example}")
    return tuple(value)


def protocol(value: object) -> AppProtocol:
    """Return how TLS starts at an endpoint."""
    return cast("AppProtocol", one_of(*get_args(AppProtocol))(value))


def name(value: object, *, wildcard: bool = False, underscore: bool = False) -> str:
    """Return a DNS name as A-labels."""
    if not isinstance(value, str):
        raise Unfit(describe(value), 'a DNS name in quotes, such as "mail.example.org"')
    try:
        return a_label(value, wildcard=wildcard, underscore=underscore)
    except BadName as error:
        raise Unfit(str(error), 'a DNS name such as "mail.example.org"') from None


def certificate_name(value: object) -> str:
    """Return a DNS name that http-01 can prove."""
    result = name(value, wildcard=True)
    if result.startswith("*."):  # RFC 8555 section 7.1.3: a wildcard is an identifier that the CA proves by DNS
        raise Unfit(
            f'the wildcard "{result}", which only dns-01 can prove, and dns-01 is not yet supported',
            "each name by itself",
        )
    return result


def zone(value: object) -> str:
    """Return the name of a zone as A-labels."""
    return name(value, underscore=True)


def address(value: object) -> str:
    """Return an IP address in its canonical form."""
    try:
        return canonical_address(value if isinstance(value, str) else "")
    except BadName:
        raise Unfit(describe(value), 'an IP address in quotes, such as "192.0.2.25" or "2001:db8::25"') from None


def network(value: object) -> str:
    """Return a network, or one address as a network of its own, as `ipaddress` writes it."""
    try:
        return str(ip_network(value if isinstance(value, str) and "%" not in value else ""))
    except ValueError:
        raise Unfit(describe(value), 'a network such as "192.168.0.0/16" or "fd00::/8", without host bits') from None


def server(value: object) -> str:
    """Return a server's address or name, without a port."""
    if isinstance(value, str) and is_address(value):
        return canonical_address(value)
    try:
        return name(value)
    except Unfit as unfit:
        raise Unfit(unfit.found, 'an address or a name, such as "192.0.2.53"; its port goes into port') from None


def socket_address(value: object) -> tuple[str, int]:
    """Return the address and port of ``"0.0.0.0:80"`` or ``"[::]:80"``."""
    expected = 'an address and a port, such as "127.0.0.1:53" or "[::1]:53"'
    if not isinstance(value, str):
        raise Unfit(describe(value), expected)
    try:
        host, number = parse_host_port(value)
    except BadName as error:
        raise Unfit(str(error), expected) from None
    if not is_address(host):
        raise Unfit(describe(value) + ", a name", expected)
    return host, number


def socket_text(value: object) -> str:
    """Return an address and a port in their canonical form."""
    return format_host_port(*socket_address(value))


def host_port(value: object) -> tuple[str, int]:
    """Return the DNS name and port of ``"mail.example.org:25"``."""
    expected = 'a host and a port, such as "mail.example.org:25"'
    if not isinstance(value, str):
        raise Unfit(describe(value), expected)
    try:
        host, number = parse_host_port(value)
    except BadName as error:
        raise Unfit(str(error), expected) from None
    if is_address(host):
        raise Unfit(
            describe(value) + ", an address",
            f'a host\'s name, or {{ connect = {json.dumps(value)}, name = "mail.example.org" }}',
        )
    return host, number


def parameters(value: object) -> RecordSpec:
    """Return a TLSA record's parameters, all of which have a meaning (RFC 6698 section 2.1)."""
    match = _PARAMETERS.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Unfit(describe(value), 'usage, selector and matching type in quotes: "3 1 1"')
    spec = RecordSpec(int(match[1]), int(match[2]), int(match[3]))
    if spec.usage > 3 or spec.selector > 1 or spec.matching_type > 2:
        raise Unfit(f'"{spec}", which no client knows', 'usage 0 to 3, selector 0 or 1, matching type 0 to 2: "3 1 1"')
    return spec


def strict(value: object) -> bool:
    """Return True for ``"strict"``, the one way to wait that is not the default."""
    if value != "strict":
        raise Unfit(describe(value), '"strict", or no wait: until caches have expired')
    return True


def record(value: object) -> TlsaRecord:
    """Return a TLSA record written in full, of any parameters and any length: it is one to be removed."""
    match = _RECORD.fullmatch(value.strip()) if isinstance(value, str) else None
    expected = 'a record in full, as dig prints it: "3 0 1 60785ad1…"'
    if match is None:
        raise Unfit(describe(value), expected)
    usage, selector, matching_type = (int(each) for each in match.groups()[:3])
    digits = match[4].replace(" ", "")
    if max(usage, selector, matching_type) > 255 or len(digits) % 2:  # RFC 6698 section 2.1: one octet each
        raise Unfit(describe(value), expected)
    return TlsaRecord(usage, selector, matching_type, bytes.fromhex(digits))


def contact(value: object) -> str:
    """Return an e-mail address; RFC 8555 section 7.3 allows one address in each contact, and no header fields."""
    match = _CONTACT.fullmatch(value) if isinstance(value, str) else None
    if match is not None and isinstance(value, str) and value.isascii() and not value.startswith("mailto:"):
        try:
            return f"{value.rpartition('@')[0]}@{a_label(match[1])}"
        except BadName:
            pass  # reported below like every other text that is no address
    raise Unfit(describe(value), 'an e-mail address alone, such as "hostmaster@example.org"')


def subject_field(field: str, longest: int) -> Callable[[object], str]:
    """Return the kind of one field of a subject; an empty one is left out of the CSR."""

    def kind(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable():
            raise Unfit(describe(value), 'text in quotes, such as "…"')
        result = value.strip()
        if len(result) > longest:
            raise Unfit(f"{describe(value)}, of {len(result)} characters", f"at most {longest} characters")
        if result and field == "country" and re.fullmatch(r"[A-Z]{2}", result) is None:
            raise Unfit(describe(value), 'a country in two capital letters, such as "DE"')
        if result and field == "email":
            return contact(result)
        return name(result) if result and field == "common_name" else result

    return kind


def path(folder: str) -> Callable[[object], str]:
    """Return the kind of a path; a relative one starts at ``folder``, that of the config file."""

    def kind(value: object) -> str:
        result = text(value)
        if "\0" in result or "\n" in result or "PRIVATE KEY" in result:
            raise Unfit(describe(result), "a path")
        if result.startswith("~"):
            raise Unfit(describe(result), "a path from / or from the config's folder; no shell expands ~ here")
        return os.path.normpath(os.path.join(folder, result))

    return kind


def target(folder: str) -> Callable[[object], str]:
    """Return the kind of a path that a file is written to."""

    def kind(value: object) -> str:
        result = path(folder)(value)
        if str(value).endswith("/") or os.path.isdir(result):
            raise Unfit(f"{describe(value)}, a folder", "the path of a file")
        return result

    return kind


def file(folder: str) -> Callable[[object], str]:
    """Return the kind of a path that danelaw reads: the file must be there."""

    def kind(value: object) -> str:
        result = path(folder)(value)
        status = status_of(result)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise Unfit(f"{result}, which is no file", "a file")
        return result

    return kind


def directory(folder: str) -> Callable[[object], str]:
    """Return the kind of a path of a folder, which must be there."""

    def kind(value: object) -> str:
        result = path(folder)(value)
        status = status_of(result)
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise Unfit(f"{result}, which is no folder", "a folder")
        return result

    return kind


def secret_file(folder: str) -> Callable[[object], str]:
    """Return the kind of a file with a private key or a secret: nobody outside its owner and group may use it."""

    def kind(value: object) -> str:
        result = file(folder)(value)
        refuse_public([result])
        return result

    return kind


def tsig_key(folder: str) -> Callable[[object], str]:
    """Return the kind of a TSIG key: a file, or the base name of BIND's pair of files; both hold the secret."""

    def kind(value: object) -> str:
        result = path(folder)(value)
        if isinstance(value, str) and _secret_itself(value) and not os.path.exists(result):
            raise Unfit("what looks like the secret itself (not shown)", "the path of a file that holds it")
        base = result.removesuffix(".key").removesuffix(".private")
        pair = [each for each in (f"{base}.key", f"{base}.private") if os.path.exists(each)]
        alone = base == result and os.path.exists(result)
        refuse_public(pair if pair and not alone else [file(folder)(value)])
        return result

    return kind


def refuse_public(paths: Sequence[str]) -> None:
    """Raise `Unfit` where everybody may read or write one of the files."""
    for each in paths:
        status = status_of(each)
        if status is not None and status.st_mode & 0o006:
            raise Unfit(
                f"{each} with mode {stat.S_IMODE(status.st_mode):04o}, open to everybody",
                f"a file closed to others: chmod o-rwx {shlex.quote(each)}",
            )


def status_of(path: str) -> os.stat_result | None:
    """Return a file's status, None where a folder on the way is closed to us. Raises `Unfit` where nothing is there."""
    try:
        return os.stat(path)
    except PermissionError:
        return None  # `status` and `plan` work for others than root too; who uses the file will say so
    except OSError as error:
        raise Unfit(f"{path}: {error.strerror or 'unusable'}", "a file or folder that is there") from None
    except ValueError:
        raise Unfit("a path that cannot be one", "a path") from None


def _secret_itself(value: str) -> bool:
    token = value.rsplit(":", 1)[-1].strip()
    if len(token) < 16 or re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", token) is None:
        return False
    return token.endswith("=") or not token.startswith("/")
