"""One ``[certificate."NAME"]`` table with its ``tlsa`` and ``deploy`` tables.

Nothing here knows of other certificates; what they must agree on is `danelaw.config.agreement`. What is read is kept
with its place in the config, so that a disagreement can be shown where it stands.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from danelaw.config import kinds
from danelaw.config.deploy import DeploymentDraft, read_deployment
from danelaw.config.keys import key_algorithm, read_key_source
from danelaw.config.rollover import check_carried, read_rollover
from danelaw.config.services import Asked
from danelaw.config.table import Spot, Table, Unfit, describe, did_you_mean
from danelaw.config.tlsa import ClaimDraft, TlsaDraft, read_tlsa
from danelaw.model import CaSpec, CertificateSpec, Http01, KeyType, Survey

KEY_TYPES = ("p256", "p384", "rsa2048", "rsa3072", "rsa4096")

SUBJECT_FIELDS: Mapping[str, int] = {
    "country": 2,
    "state": 128,
    "locality": 128,
    "organization": 64,
    "organizational_unit": 64,
    "common_name": 64,
    "email": 255,
}
"""The fields of a subject with the most characters that each may have (RFC 5280 appendix A.1, upper bounds)."""

LISTEN = (("0.0.0.0", 80), ("::", 80))  # noqa: S104 - the CA must reach it: RFC 8555 section 8.3
"""Where http-01 is answered where the config does not say."""

NOT_YET = {
    "profile": "no profile: the CA's default; remove it",
    "dns01": 'challenge = "http-01" with http01',
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a certificate refers to. ``cas`` and ``publishers`` are what the config defines, in order.

    ``survey`` answers for services; None where nobody can.
    """

    folder: str
    cas: Mapping[str, CaSpec]
    publishers: tuple[str, ...]
    survey: Survey | None = None


@dataclass(slots=True)
class CertificateDraft:
    """A certificate as read, faults and all, with the places of its parts."""

    spot: Spot
    spec: CertificateSpec
    tlsa: list[TlsaDraft] = field(default_factory=list)
    deployments: list[DeploymentDraft] = field(default_factory=list)

    @property
    def claims(self) -> list[ClaimDraft]:
        """Return the claims of every ``tlsa`` table."""
        return [claim for draft in self.tlsa for claim in draft.claims]


def read_certificate(name: str, table: Table, around: Surroundings) -> CertificateDraft:
    """Return a certificate; everything that does not fit is reported in the table's report."""
    if (draft := _unquoted(name, table)) is not None:
        return draft
    table.not_yet(NOT_YET)
    names = _names(table)
    source = read_key_source(table, names, around.folder)
    coming = read_rollover(table, source, around.folder)
    ca = _ca(table, tuple(around.cas))
    pins = around.cas[ca].intermediates if ca in around.cas else None
    pre, post = _challenge_commands(table)
    spec = CertificateSpec(
        name=name,
        names=names,
        ca=ca,
        http01=_http01(table, around.folder),
        key=source.key,
        key_password_file=source.key_password_file,
        csr=source.csr,
        key_type=cast("KeyType | None", table.get("key_type", kinds.one_of(*KEY_TYPES))),
        subject=_subject(table, names),
        pre_challenge=pre,
        post_challenge=post,
        timeout=table.get("timeout", kinds.timeout, timedelta(seconds=60)),
        rollover=coming.period,
        next_key=coming.next_key,
        spare=coming.spare,
        settle=coming.settle,
        retired_keys=coming.retired_keys,
        intermediates=() if pins is None else pins.certificates_der,
    )
    draft = CertificateDraft(table.spot, spec)
    header = f"[[{table.spot.where}.%s]]"
    asked = Asked(around.survey, spec, lambda: key_algorithm(spec))
    for each in table.tables("deploy", header % "deploy"):
        draft.deployments.append(read_deployment(name, each, around.folder, asked))
    for each in table.tables("tlsa", header % "tlsa"):
        draft.tlsa.append(read_tlsa(name, names, each, around.publishers))
    if "names" in table.faulty:  # the claims' default hosts are not known then
        for tlsa in draft.tlsa:
            tlsa.complete = False
    if not table.has("key") and draft.deployments and "deploy" not in table.faulty:
        _check_key_files(table, draft)
    check_carried(table, spec, draft.deployments)
    _check_external(table, draft)
    table.finish()
    return draft


def _unquoted(name: str, table: Table) -> CertificateDraft | None:
    """Report ``[certificate.example.org]``, for TOML a table ``org`` in a table ``example``; None where it is not."""
    if table.has("names"):
        return None
    paths = [path for key in table.keys if (path := _path_to_names(f"{name}.{key}", table.peek(key), 5)) is not None]
    for path in paths:
        found = f"the name {path} without quotes, so that each dot begins another table"
        table.report.problem(table.spot, found, f'[certificate."{path}"], and so in every header below it')
    return CertificateDraft(table.spot, CertificateSpec(name, (), "", Http01())) if paths else None


def _path_to_names(path: str, value: object, depth: int) -> str | None:
    if not isinstance(value, dict) or depth == 0:
        return None
    if "names" in value:
        return path
    deeper = (_path_to_names(f"{path}.{key}", inner, depth - 1) for key, inner in value.items())
    return next((found for found in deeper if found is not None), None)


def _names(table: Table) -> tuple[str, ...]:
    expected = 'the DNS names of the certificate, such as ["mail.example.org"]'
    if not table.has("names"):
        table.raw("names")
        table.problem("names", "nothing", expected)
        return ()
    names = table.items("names", kinds.certificate_name, '["mail.example.org"]') or ()
    return tuple(dict.fromkeys(names))


def _ca(table: Table, cas: tuple[str, ...]) -> str:
    named = table.items("acme", kinds.text, f'["{cas[0] if cas else "letsencrypt"}"]')
    if named is None:
        return cas[0] if cas else ""
    if len(named) > 1:
        table.problem("acme", f"{len(named)} CAs, and a second one is not yet supported", f'one: ["{named[0]}"]')
    for position, each in enumerate(named):
        if each not in cas:
            found = describe(each) + ", which is not defined" + did_you_mean(each, cas)
            table.faulty.add("acme")
            table.report.problem(table.spot.key("acme").item(position), found, _defined("acme", cas))
    return named[0] if named else ""


def _defined(section: str, names: tuple[str, ...]) -> str:
    return "one of " + ", ".join(names) if names else f"a table [{section}.NAME] that defines it"


def challenge(value: object) -> str:
    """Return the challenge's type, of which there is one so far."""
    if value == "http-01":
        return "http-01"
    if value in ("dns-01", "tls-alpn-01"):
        raise Unfit(f'"{value}", which is not yet supported', '"http-01"')
    if isinstance(value, dict):
        raise Unfit("a table per name, which is not yet supported", '"http-01", for every name')
    raise Unfit(describe(value), '"http-01"')


def _http01(table: Table, folder: str) -> Http01:
    table.get("challenge", challenge)
    inner = table.table("http01", '{ webroot = "/var/www/html" } or { listen = ["0.0.0.0:80", "[::]:80"] }')
    if inner is None:
        return Http01(listen=LISTEN)
    webroots = _webroots(inner, folder)
    listen = inner.items("listen", kinds.socket_address, '["0.0.0.0:80", "[::]:80"]')
    if inner.has("webroot") and inner.has("listen"):
        inner.problem("listen", "webroot and listen", "one of them: files below a webroot, or danelaw's own listener")
    if inner.has("webroot") and table.has("pre_challenge"):
        inner.warning("webroot", "pre_challenge beside it", "no pre_challenge: the server of the webroot must be up")
    if listen and len(set(listen)) < len(listen):
        inner.problem("listen", "an address and port twice", "each once")
    inner.finish()
    if inner.has("webroot"):
        return Http01(webroots=webroots)
    return Http01(listen=LISTEN if listen is None else listen)


def _webroots(inner: Table, folder: str) -> tuple[str, ...]:
    """Return the folder, or the folders, below which answers are written."""
    kind = kinds.directory(folder)
    if not isinstance(inner.peek("webroot"), list):
        one = inner.get("webroot", webroot(kind))
        return (one,) if one else ()
    found = inner.items("webroot", kind, '["/var/www/html", "/srv/blog"]') or ()
    twice = next((each for at, each in enumerate(found) if each in found[:at]), None)
    if twice:
        inner.problem("webroot", f"{twice} twice", "each folder once")
    return found


def webroot(kind: Callable[[object], str]) -> Callable[[object], str]:
    """Return the kind of a single webroot: a folder, with words for who gives one per name."""

    def checked(value: object) -> str:
        if isinstance(value, dict):
            folders = json.dumps(list(dict.fromkeys(str(each) for each in value.values())), ensure_ascii=False)
            raise Unfit("a table", f"a list, since an answer is written below each folder for every name: {folders}")
        return kind(value)

    return checked


def _challenge_commands(table: Table) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    pre = table.get("pre_challenge", kinds.command)
    post = table.get("post_challenge", kinds.command)
    for one, other, reason in (
        ("pre_challenge", "post_challenge", "what is stopped must be started again"),
        ("post_challenge", "pre_challenge", "nothing is stopped that it could start"),
    ):
        if table.has(one) and not table.has(other):
            table.problem(other, f"nothing, beside {one}", f"both or neither: {reason}")
    return pre, post


def _subject(table: Table, names: tuple[str, ...]) -> Mapping[str, str]:
    inner = table.table("subject", '{ common_name = "example.org" }')
    if inner is None:
        return {}
    result = {}
    for field_name, longest in SUBJECT_FIELDS.items():
        value = inner.get(field_name, kinds.subject_field(field_name, longest))
        if value:
            result[field_name] = value
    common_name = result.get("common_name")
    if common_name is not None and names and "names" not in table.faulty and common_name not in names:
        # CAs refuse it, or leave it out: a common name is a name that the CA must have proven as well.
        inner.problem("common_name", f'"{common_name}", which is not among names', f'one of names: "{names[0]}"')
    inner.finish()
    return result


def _check_external(table: Table, draft: CertificateDraft) -> None:
    """Say where all is presented elsewhere, over keys that danelaw makes and gives to nobody."""
    if draft.deployments or table.has("deploy"):
        return
    for claim in draft.claims[:1]:
        if draft.spec.rollover:
            found = "rollover, and no deployment that carries its keys to what presents them"
            table.problem("rollover", found, "a deployment; or no rollover: what is external would keep the old key")
        if claim.claim.external and not (table.has("key") or table.has("csr")):
            found = "external, of a certificate whose key danelaw makes and deploys nowhere"
            table.report.warning(
                claim.spot.key("external"), found, "key, or a deployment: what presents it needs the key"
            )


def _check_key_files(table: Table, draft: CertificateDraft) -> None:
    """Report a key that danelaw makes and that reaches no service, and one that it has not and that it should write."""
    if table.has("csr"):
        for each in draft.deployments:
            if each.deployment.has_key:
                found = "a file that holds the key, though of the key there is only the csr"
                table.report.problem(each.spot, found, "key, the file of the CSR's private key, beside csr")
        return
    whole = all(each.complete for each in draft.deployments)
    if whole and not any(each.deployment.has_key for each in draft.deployments):
        table.problem(
            "deploy",
            "no file that holds the key, though danelaw makes the key itself",
            'a key file in a deployment, "key" in its combined parts, or the key that the services use already as key',
        )
