"""One ``[[certificate."NAME".deploy]]`` table: the files, the config test, the reload, and what proves them."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from danelaw.config import kinds, services
from danelaw.config.services import Asked, SetupDraft
from danelaw.config.table import Spot, Table, Unfit, describe
from danelaw.model import AppProtocol, Deployment, FilePart, FileSpec
from danelaw.names import default_protocol

PARTS: tuple[FilePart, ...] = ("cert", "chain", "key")

SIMPLE_FILES: dict[str, tuple[FilePart, ...]] = {
    "cert": ("cert",),
    "chain": ("chain",),
    "fullchain": ("cert", "chain"),
    "key": ("key",),
}
"""The keys that name a file by what is in it, and its parts in order."""

_FILE = '"/etc/ssl/certs/example.org.pem" or { path = "…", mode = "0640", group = "ssl-cert" }'
_COMBINED = '{ path = "/etc/courier/imapd.pem", parts = ["cert", "key", "chain"], mode = "0600" }'
_PROOF = '"mail.example.org:25" or { connect = "127.0.0.1:8443", name = "www.example.org", protocol = "https" }'


@dataclass(frozen=True, slots=True)
class FileDraft:
    """A file to be written, with its place in the config."""

    spot: Spot
    file: FileSpec


@dataclass(frozen=True, slots=True)
class ProofDraft:
    """A ``prove`` endpoint. ``protocol`` None: neither it nor its port says; a ``tlsa`` table may.

    ``stated``: the protocol is the user's own word, not the port's. ``connect`` is an address. ``named``: the host
    stands in the config; else a service knows it.
    """

    spot: Spot
    host: str
    port: int
    protocol: AppProtocol | None
    connect: str | None = None
    stated: bool = False
    named: bool = True


@dataclass(slots=True)
class DeploymentDraft:
    """A deployment as read. ``complete`` is False where files or proofs are missing from it because they did not fit.

    ``deployment`` has no endpoints yet: what protocol they speak may depend on the ``tlsa`` tables. So may the proofs
    of its services (``setups``) where ``by_services``: the table has no ``prove``.
    """

    spot: Spot
    deployment: Deployment
    complete: bool = True
    files: list[FileDraft] = field(default_factory=list)
    proofs: list[ProofDraft] = field(default_factory=list)
    setups: list[SetupDraft] = field(default_factory=list)
    by_services: bool = False


def read_deployment(certificate: str, table: Table, folder: str, asked: Asked) -> DeploymentDraft:
    """Return a deployment; everything that does not fit is reported."""
    files = [draft for key in ("combined", *SIMPLE_FILES) if (draft := _file(table, key, folder)) is not None]
    has_files = any(table.has(key) for key in ("combined", *SIMPLE_FILES))
    setups = services.read_services(table, asked, has_files=has_files)
    if has_files:
        services.check_given(table, setups, [(draft.spot, draft.file) for draft in files])
    else:
        spot = table.spot.key("services")
        files = [FileDraft(spot, spec) for spec in services.agreed_files(table, setups, asked.spec)]
    test = table.get("test", kinds.command)
    reload = (
        table.required("reload", kinds.command, 'the command that reloads, such as ["postfix", "reload"]')
        if not table.has("services")
        else table.get("reload", kinds.command)
    )
    deployment = Deployment(
        certificate=certificate,
        files=tuple(draft.file for draft in files),
        endpoints=(),
        services=services.commands(setups, test, reload),
        timeout=table.get("timeout", kinds.timeout, timedelta(seconds=60)),
        addresses=table.items("addresses", kinds.address, '["192.0.2.25"]') or (),
    )
    proofs = _proofs(table)
    complete = not table.faulty & {"combined", *SIMPLE_FILES, "prove", "services"}
    if complete:
        _check_files(table, files)
        services.check_sharing(table, setups, [draft.file for draft in files], asked)
    table.finish()
    by_services = bool(setups) and not table.has("prove")
    return DeploymentDraft(table.spot, deployment, complete, files, proofs, setups, by_services)


def _check_files(table: Table, files: list[FileDraft]) -> None:
    parts = {part for draft in files for part in draft.file.parts}
    if not files:
        table.problem("fullchain", "no file in this deployment", f"one of combined, {', '.join(SIMPLE_FILES)}")
    elif "cert" not in parts:
        table.problem("fullchain", "no file that holds the certificate", "one of cert, fullchain, combined")
    elif "chain" not in parts:
        table.warning("chain", "no file that holds the chain", "fullchain in place of cert: clients need the issuers")


def _file(table: Table, key: str, folder: str) -> FileDraft | None:
    value = table.raw(key)
    if value is None:
        return None
    spot = table.spot.key(key)
    example = _COMBINED if key == "combined" else _FILE
    if isinstance(value, str) and key != "combined":
        try:
            return FileDraft(spot, FileSpec(kinds.target(folder)(value), SIMPLE_FILES[key]))
        except Unfit as unfit:
            table.problem(key, unfit.found, unfit.expected)
            return None
    if not isinstance(value, dict):
        table.problem(key, describe(value), f"a file such as {example}")
        return None
    inner = Table(table.report, spot, value)
    path = inner.required("path", kinds.target(folder), f"a path, as in {example}")
    parts = SIMPLE_FILES.get(key) or _parts(inner)
    mode = inner.get("mode", kinds.mode)
    if mode is not None and "key" in parts and mode & 0o007:
        inner.problem(
            "mode", f'"{mode:04o}" for a file with the private key', 'a mode closed to others, such as "0640"'
        )
    owner, group = inner.get("owner", kinds.account), inner.get("group", kinds.account)
    inner.finish()
    if path is None or not parts:
        table.faulty.add(key)
        return None
    return FileDraft(spot, FileSpec(path, parts, mode, owner, group))


def _parts(inner: Table) -> tuple[FilePart, ...]:
    example = '["cert", "key", "chain"]'
    if not inner.has("parts"):
        inner.raw("parts")
        inner.problem("parts", "nothing", f"what the file holds, in order: {example}")
        return ()
    parts = inner.items("parts", part, example) or ()
    if len(set(parts)) < len(parts):
        inner.problem("parts", "a part twice", f"each part once, such as {example}")
    return parts


def part(value: object) -> FilePart:
    """Return a part of a combined file."""
    if value == "fullchain":
        raise Unfit('"fullchain"', 'its two parts by themselves: "cert", "chain"')
    return cast("FilePart", kinds.one_of(*PARTS)(value))


def _proofs(table: Table) -> list[ProofDraft]:
    if table.has("services") and not table.has("prove"):
        table.raw("prove")
        return []
    value = table.raw("prove")
    spot = table.spot.key("prove")
    if value is None or value == []:
        found = "nothing" if value is None else "an empty list"
        table.problem("prove", found, f"what shows that the service presents the chain: [{_PROOF}]")
        return []
    if not isinstance(value, list):
        table.problem("prove", describe(value), f"a list such as [{_PROOF}]")
        return []
    proofs: list[ProofDraft] = []
    for position, item in enumerate(value):
        draft = _proof(table, spot.item(position), item)
        if draft is None:
            table.faulty.add("prove")
        elif any((draft.host, draft.port, draft.connect) == (each.host, each.port, each.connect) for each in proofs):
            table.report.problem(draft.spot, f"{draft.host}:{draft.port} for the second time", "each endpoint once")
        else:
            proofs.append(draft)
    return proofs


def _proof(table: Table, spot: Spot, item: object) -> ProofDraft | None:
    if isinstance(item, str):
        try:
            host, port = kinds.host_port(item)
        except Unfit as unfit:
            table.report.problem(spot, unfit.found, unfit.expected)
            return None
        return ProofDraft(spot, host, port, default_protocol(port))
    if not isinstance(item, dict):
        table.report.problem(spot, describe(item), _PROOF)
        return None
    return _proof_table(Table(table.report, spot, item))


def _proof_table(inner: Table) -> ProofDraft | None:
    host = inner.required("name", kinds.name, "the name that the certificate is asked by (SNI)")
    connect = inner.get("connect", kinds.socket_address)
    protocol = inner.get("protocol", kinds.protocol)
    port = inner.get("port", kinds.port, connect[1] if connect else 0)
    if inner.has("port") == inner.has("connect"):
        found = "both connect and port" if inner.has("port") else "neither connect nor port"
        inner.problem("connect", found, f"one of them (connect has a port itself), as in {_PROOF}")
    inner.finish()
    if host is None or inner.faulty:
        return None
    return ProofDraft(
        spot=inner.spot,
        host=host,
        port=port,
        protocol=protocol or default_protocol(port),
        connect=connect[0] if connect else None,
        stated=protocol is not None,
    )
