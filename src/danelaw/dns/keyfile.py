"""TSIG keys in files: BIND's ``K*`` pairs by either half or their base name, and ``key "name" { … };`` clauses."""

import base64
import binascii
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from danelaw.dns.message import Malformed, name_of, text_of
from danelaw.dns.tsig import ALGORITHMS, TsigKey
from danelaw.errors import InputError

_NUMBERS = {
    157: "hmac-md5",
    161: "hmac-sha1",
    162: "hmac-sha224",
    163: "hmac-sha256",
    164: "hmac-sha384",
    165: "hmac-sha512",
}
"""BIND's private algorithm numbers (dst/dst.h), which stand in the names and in the contents of the old pairs."""

_LARGEST = 65536
_BASE = re.compile(r"K(?P<name>.+)\.\+\d{3}\+\d{5}")
_TOKEN = re.compile(
    r'//[^\n]*|\#[^\n]*|/\*.*?\*/|\s+|"(?P<quoted>[^"\n]*)"|(?P<bare>[^\s"{};]+)|(?P<mark>[{};])', re.DOTALL
)


def check_private(path: Path) -> None:
    """Refuse a key file that everybody may read or write. Raises `InputError`, which names the chmod."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"{path}: the TSIG key cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: a TSIG key is a regular file; this is none")
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise InputError(f"{path}: this TSIG key is open to everybody (mode {mode & 0o777:04o}); chmod o-rwx {path}")


def load_tsig_key(path: str) -> TsigKey:
    """Read a key from either half of a ``K<name>.+NNN+NNNNN`` pair, its base name, or a file with one key clause.

    The algorithm comes from the content. Raises `InputError`, which never shows the content, where the file cannot be
    read, holds no key or several, or may be read by everybody.
    """
    given = Path(path)
    half = given.suffix in {".key", ".private"}
    if not half and given.is_file():
        text = _text(given)
        return _private(given, text) if text.startswith("Private-key-format") else _clause(given, text)
    base = given.with_suffix("") if half else given
    private, public = base.parent / f"{base.name}.private", base.parent / f"{base.name}.key"
    # the secret is read from .private where there is one, as BIND does: .key is only asked for the name then
    if private.is_file() and not (given == public and _BASE.fullmatch(base.name) is None):
        return _private(private, _text(private))
    if public.is_file():
        text = _text(public)
        return _public(public, text) if _KEY_RECORD.search(text) else _clause(public, text)
    raise InputError(f"{path}: there is no such TSIG key, and no pair {base.name}.key and {base.name}.private")


def _text(path: Path) -> str:
    check_private(path)
    try:
        with path.open("rb") as file:
            octets = file.read(_LARGEST + 1)
        if len(octets) > _LARGEST:
            raise InputError(f"{path}: too long for a TSIG key (over {_LARGEST} octets)")
        return octets.decode("utf-8")
    except OSError as error:
        raise InputError(f"{path}: the TSIG key cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no TSIG key (not a text file)") from None


def _private(path: Path, text: str) -> TsigKey:
    """Read a ``Private-key-format: v1.x`` file; the key's name is in the file's name, or in its other half."""
    fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    if "Algorithm" not in fields or "Key" not in fields:
        raise InputError(f"{path}: this is no TSIG key: a private file without Algorithm: and Key: lines")
    algorithm = _numbered(path, fields["Algorithm"].split(" ")[0])
    return _key(path, _name_of_pair(path), algorithm, fields["Key"])


def _name_of_pair(path: Path) -> str:
    other = path.with_suffix(".key")
    if other.is_file():
        found = _KEY_RECORD.search(_text(other))  # it holds the secret too, so it must be as private
        if found:
            return found["name"]
    named = _BASE.fullmatch(path.with_suffix("").name)
    if named is None:
        raise InputError(f"{path}: the key's name is not known; keep BIND's file name K<name>.+NNN+NNNNN.private")
    return named["name"]


_KEY_RECORD = re.compile(
    r"^(?P<name>[^\s;]+)[ \t]+(?:\d+[ \t]+)?(?:IN[ \t]+)?(?:\d+[ \t]+)?KEY[ \t]+"
    r"\d+[ \t]+3[ \t]+(?P<algorithm>\d+)[ \t]+(?P<secret>[A-Za-z0-9+/= \t]+)$",
    re.MULTILINE | re.IGNORECASE,
)
"""A KEY record on one line (RFC 2535 section 3): flags, protocol 3, algorithm, key."""


def _public(path: Path, text: str) -> TsigKey:
    found = _KEY_RECORD.search(text)
    if found is None:
        raise InputError(f"{path}: this is no TSIG key: no KEY record in it")
    return _key(path, found["name"], _numbered(path, found["algorithm"]), found["secret"])


def _numbered(path: Path, text: str) -> str:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    if number not in _NUMBERS:
        raise InputError(f"{path}: algorithm {text[:20]!r} is none of TSIG's ({_known_numbers()}); a DNSSEC key?")
    return _NUMBERS[number]


def _known_numbers() -> str:
    return ", ".join(f"{number} {name}" for number, name in _NUMBERS.items())


def _clause(path: Path, text: str) -> TsigKey:
    """Read the one ``key`` clause of a file in named.conf's syntax; other clauses are passed over."""
    keys = list(_clauses(path, _words(path, text)))
    if len(keys) != 1:
        names = ", ".join(name for name, _ in keys) or "none"
        raise InputError(f'{path}: one `key "name" {{ … }};` is expected; found {len(keys)} ({names})')
    name, fields = keys[0]
    if set(fields) != {"algorithm", "secret"}:
        raise InputError(f"{path}: key {name} needs one algorithm and one secret, and nothing else")
    return _key(path, name, fields["algorithm"], fields["secret"])


def _words(path: Path, text: str) -> Iterator[str]:
    """Split named.conf's syntax; quoted words come with a quote before them, so that no mark is mistaken."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise InputError(f"{path}: line {text.count(chr(10), 0, at) + 1} is not in named.conf's syntax")
        at = found.end()
        if found["quoted"] is not None:
            yield f'"{found["quoted"]}'
        elif found["bare"] or found["mark"]:
            yield found["bare"] or found["mark"]


def _clauses(path: Path, words: Iterator[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name and the fields of each key clause that stands outside of others."""
    statement: list[str] = []
    for word in words:
        if word == "{":
            body = list(_body(path, words))
            if len(statement) == 2 and statement[0] == "key":
                yield statement[1].removeprefix('"'), _fields_of(path, body)
        elif word == ";":
            statement = []
        elif word == "}":
            raise InputError(f"{path}: a closing brace too many")
        else:
            statement.append(word)


def _body(path: Path, words: Iterator[str]) -> Iterator[str]:
    depth = 1
    for word in words:
        depth += (word == "{") - (word == "}")
        if not depth:
            return
        yield word
    raise InputError(f"{path}: a closing brace is missing")


def _fields_of(path: Path, body: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    statement: list[str] = []
    for word in body:
        if word != ";":
            statement.append(word)
            continue
        if len(statement) != 2 or statement[0] in fields:
            raise InputError(f"{path}: a key clause holds `algorithm …;` and `secret …;`, each once")
        fields[statement[0]] = statement[1].removeprefix('"')
        statement = []
    if statement:
        raise InputError(f"{path}: a semicolon is missing in a key clause")
    return fields


def _key(path: Path, name: str, algorithm: str, secret: str) -> TsigKey:
    base, bits = _algorithm(path, algorithm)
    try:
        octets = base64.b64decode("".join(secret.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{path}: the secret of key {name} is not base64") from None
    if not octets:
        raise InputError(f"{path}: the secret of key {name} is empty")
    try:
        return TsigKey(text_of(name_of(name)), base, octets, bits)
    except Malformed as error:
        raise InputError(f"{path}: {error}") from None


def _algorithm(path: Path, text: str) -> tuple[str, int | None]:
    """Return our name of an algorithm and the bits that its MACs are cut to (BIND: ``hmac-sha256-128``)."""
    name = text.lower().removesuffix(".").removesuffix(".sig-alg.reg.int")
    base, cut = name, None
    found = re.fullmatch(r"(hmac-[a-z0-9]+)-(\d{1,3})", name)
    if found:
        base, cut = found[1], int(found[2])
    if base not in ALGORITHMS:
        raise InputError(f"{path}: TSIG algorithm {text[:40]!r} is not known; expected one of {', '.join(ALGORITHMS)}")
    full = {"hmac-md5": 128, "hmac-sha1": 160}.get(base) or int(base.removeprefix("hmac-sha"))
    # RFC 8945 section 5.2.2.1: whole octets, at least 80 bits and half of the whole
    if cut is not None and (cut % 8 or not max(80, full // 2) <= cut <= full):
        raise InputError(f"{path}: {text}: MACs of {base} are cut to {max(80, full // 2)} to {full} bits, by octets")
    return base, None if cut == full else cut
