"""When a certificate's key is replaced, and by what: ``rollover``, ``next_key`` and what goes with them.

A rollover needs another key than the one in use, and services that read what danelaw writes. What lacks either is
refused here, before a key is made and published that could never go live.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

from danelaw.config import files, kinds
from danelaw.config.deploy import DeploymentDraft
from danelaw.config.keys import KeySource, open_key
from danelaw.config.services import place, same
from danelaw.config.table import Table, Unfit, describe
from danelaw.errors import InputError
from danelaw.model import CertificateSpec, SpareKey

SHORTEST = timedelta(days=1)
SHORT = timedelta(days=30)
SETTLE = timedelta(hours=24)

_UNITS = {"d": "days", "h": "hours", "w": "weeks"}
_PERIOD = 'such as "365d": a number and one of h, d, w, in quotes; or "never"'


@dataclass(frozen=True, slots=True)
class Rollover:
    """What the config says about keys to come; `model.CertificateSpec` has the same fields."""

    period: timedelta | None = None
    next_key: bool = False
    spare: SpareKey | None = None
    settle: timedelta = SETTLE
    retired_keys: Literal["archive", "shred"] = "archive"


def read_rollover(table: Table, source: KeySource, folder: str) -> Rollover:
    """Return what becomes of a certificate's key; what does not fit or contradicts is reported."""
    every = table.get("rollover", period)
    said = table.get("next_key", kinds.boolean)
    spare = table.get("next_key_public", public_half(folder))
    settle = table.get("settle", kinds.span(timedelta(0)), SETTLE)
    retired = table.get("retired_keys", kinds.one_of("archive", "shred"), "archive")
    if every is not None and every < SHORT:
        found = f"{describe(table.peek('rollover'))}, less than {SHORT.days} days"
        table.warning("rollover", found, f"{SHORT.days}d or longer: each is an order at the CA and changes DNS twice")
    if every is not None and settle > every:
        found = f"{_shown(settle)}, longer than rollover"
        table.problem("settle", found, "a shorter one: the next rollover would come before the last has settled")
    if table.has("next_key_public") and said is False:
        expected = "true, or no next_key_public: a next key that is kept elsewhere is published ahead"
        table.problem("next_key", "false beside next_key_public", expected)
    if table.has("csr"):
        for key, wanted in (("rollover", every), ("next_key", said), ("next_key_public", spare)):
            if wanted:
                expected = "one of them: a CSR is over one key, and a rollover needs another"
                table.problem(key, f"{key} beside csr", expected)
    if spare is not None:
        _compare(table, source, spare)
    coming = every is not None if said is None else said
    return Rollover(every, coming or spare is not None, spare, settle, cast("Literal['archive', 'shred']", retired))


def period(value: object) -> timedelta | None:
    """Return for how long a key is current; None for ``"never"``."""
    if value == "never":
        return None
    text = value.strip() if isinstance(value, str) else ""
    number, unit = text[:-1], text[-1:]
    if unit not in _UNITS or not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise Unfit(describe(value), f"how long a key is current, {_PERIOD}")
    # The lower bound comes first, and without a timedelta: nine digits of weeks are more than one holds.
    if int(number) * timedelta(**{_UNITS[unit]: 1}).total_seconds() < SHORTEST.total_seconds():
        expected = '"1d" or longer: each rollover publishes a key, waits for every cache, and proves the services twice'
        raise Unfit(f"{describe(value)}, less than a day", expected)
    return kinds.span(SHORTEST)(value)


def _shown(span: timedelta) -> str:
    return f"{span.total_seconds() / 86400:g} days"


def public_half(folder: str) -> Callable[[object], SpareKey]:
    """Return the kind of a key that is kept elsewhere: a file with its public half, a certificate or CSR over it."""

    def kind(value: object) -> SpareKey:
        path = kinds.file(folder)(value)
        try:
            return SpareKey(path, _spki(path, files.read(path)))
        except OSError as error:
            raise Unfit(
                f"{path}: {error.strerror or error}", "a public key, as openssl pkey -pubout writes it"
            ) from None
        except InputError as error:
            found, _, way = str(error).removeprefix("found ").partition("; ")
            expected = way.removeprefix("expected ") or "a public key, as openssl pkey -pubout writes it"
            raise Unfit(f"{path}, {found}", expected) from None

    return kind


def _spki(path: str, data: bytes) -> bytes:
    """Return the SPKI in a file, DER, as danelaw's own CSR over that key will have it.

    Raises `InputError`, and `Unfit` for a private key: the file of a key that is kept elsewhere does not hold it.
    """
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - 80 ms, and only a spare key needs it
        Encoding,
        PublicFormat,
    )

    from danelaw import pki  # noqa: PLC0415 - as above

    private = Unfit(
        f"{path}, which holds a private key",
        "its public half alone, since it is kept elsewhere: openssl pkey -in KEY -pubout -out FILE",
    )
    if b"PRIVATE KEY-----" in data:
        raise private
    try:
        sources = pki.load_sources(data)
    except pki.EncryptedKey:
        raise private from None
    if any(each.kind == "private key" for each in sources):
        raise private
    if len({each.spki_der for each in sources}) > 1:
        raise InputError(f"found {len(sources)} keys; expected one")
    spki_der = sources[0].spki_der
    pki.check_public_key(spki_der)
    # An elliptic curve's point may be written in two ways; a CSR of ours has the long one, and so will its certificate.
    return pki.load_public_key(spki_der).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _compare(table: Table, source: KeySource, spare: SpareKey) -> None:
    """Warn of a next key that has come here: it may be what asks for the rollover, and it is no spare any more."""
    if source.key is None:
        return
    with suppress(OSError, InputError):  # what is wrong with the key is said by who takes it
        if open_key(source.key, source.key_password_file).spki_der == spare.spki_der:
            found = f"{spare.path}, the public half of {source.key}"
            expected = "this while that key is rolled over to, and then the public half of another one"
            table.warning("next_key_public", found, expected)


def check_carried(table: Table, spec: CertificateSpec, deployments: Iterable[DeploymentDraft]) -> None:
    """Report deployments that carry no key, where one is to be replaced, or not to where their services read it."""
    asks = next((key for key in ("rollover", "next_key_public", "next_key") if table.has(key)), None)
    if asks is None or table.has("csr") or not (spec.rollover or spec.next_key):
        return
    for draft in deployments:
        written = {place(file.file.path) for file in draft.files if "key" in file.file.parts}
        keys = (file.path for each in draft.setups for file in each.setup.files if "key" in file.parts)
        missed = next((path for path in keys if place(path) not in written), None)
        if not draft.complete or (written and missed is None):
            continue
        shown = " and ".join(file.file.path for file in draft.files)
        lacking = "the key" if missed is None else f"{missed}, where the service reads its key"
        found = f"{shown} without {lacking}, beside {asks}: what reads it would go on with the old key"
        expected = 'the key among the files that danelaw writes: a key file here, or "key" in its combined parts'
        if spec.key is not None and missed is not None and same(missed, spec.key):
            expected = f"a copy of {spec.key} as key: then danelaw writes {missed} itself"
        table.report.problem(draft.spot, found, expected)
