"""The tables around the certificates: CAs, publishers, the resolver, and the two maps of a test bench or a NAT."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from danelaw.config import files, kinds
from danelaw.config.table import Table, Unfit, describe, did_you_mean
from danelaw.errors import InputError
from danelaw.model import CaSpec, Intermediates, PublisherSpec, ResolverSpec, ServeSpec
from danelaw.names import BadName, format_host_port, parse_host_port

DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
"""Directories that have a short name in the config."""

OTHER_PUBLISHERS = ("octodns", "powerdns", "knot", "zonefile", "exec", "manual")

MANY_RECORDS = 12
"""Senders that handle no more at one owner name are known."""

_URL = re.compile(r"https://[!-~]+")


def directory_url(value: object) -> str:
    """Return the URL of a CA's directory; ACME is HTTPS only (RFC 8555 section 6.1)."""
    if isinstance(value, str) and value in DIRECTORIES:
        return DIRECTORIES[value]
    try:
        usable = isinstance(value, str) and _URL.fullmatch(value) is not None and bool(urlsplit(value).hostname)
    except ValueError:
        usable = False
    if usable and isinstance(value, str) and "@" not in urlsplit(value).netloc:
        return value
    hint = did_you_mean(value, tuple(DIRECTORIES)) if isinstance(value, str) else ""
    names = ", ".join(f'"{each}"' for each in DIRECTORIES)
    raise Unfit(describe(value) + hint, f"{names} or the https:// URL of an ACME directory")


def read_ca(name: str, table: Table, folder: str) -> CaSpec:
    """Return a CA (``[acme.NAME]``)."""
    table.not_yet({"eab": "a CA that opens accounts without external account binding; remove it"})
    directory = table.get("directory", directory_url, DIRECTORIES["letsencrypt"])
    contact = table.items("contact", kinds.contact, '["hostmaster@example.org"]', empty=True)
    agreed = table.get("agree_tos", kinds.boolean, default=False)
    if not agreed and "agree_tos" not in table.faulty:  # RFC 8555 section 7.3: the client must not agree by itself
        found = "false" if table.has("agree_tos") else "nothing"
        table.problem("agree_tos", found, "true, once you have read and accepted the CA's terms of service")
    ca_bundle = table.get("ca_bundle", kinds.file(folder))
    intermediates = table.get("intermediates", ca_certificates(folder))
    if intermediates is not None and len(intermediates.certificates_der) > MANY_RECORDS:  # RFC 7671 section 10.1
        found = f"{intermediates.path} with {len(intermediates.certificates_der)} certificates, each a record"
        expected = f"those that it issues from: some senders handle no more than {MANY_RECORDS} records"
        table.warning("intermediates", found, expected)
    table.finish()
    return CaSpec(name, directory, tuple(dict.fromkeys(contact or ())), agreed, ca_bundle, intermediates)


def ca_certificates(folder: str) -> Callable[[object], Intermediates]:
    """Return the kind of a file of CA certificates, PEM; the order stays, and each counts once."""
    expected = "the CA certificates that it issues from, as PEM"

    def kind(value: object) -> Intermediates:
        from danelaw import pki  # noqa: PLC0415 - 80 ms, and only records of usages 0 and 2 need them

        path = kinds.file(folder)(value)
        try:
            found = tuple(dict.fromkeys(pki.certificates(files.read(path))))
        except OSError as error:
            raise Unfit(f"{path}: {error.strerror or error}", expected) from None
        except InputError as error:
            raise Unfit(f"{path}, {str(error).removeprefix('found ').partition(';')[0]}", expected) from None
        for position, each in enumerate(found, 1):
            if pki.load(each) is None:
                raise Unfit(f"{path}, whose certificate {position} cannot be read (RFC 5280)", expected)
            if not pki.is_ca(each):
                subject = pki.subject_text(each)
                raise Unfit(f"{path}, whose certificate {position} is no CA's ({subject})", f"{expected}, and no other")
        return Intermediates(path, found)

    return kind


def publisher_type(value: object) -> str:
    """Return a publisher's type, of which there is one so far."""
    if value == "rfc2136":
        return "rfc2136"
    if isinstance(value, str) and value in OTHER_PUBLISHERS:
        raise Unfit(f'"{value}", which is not yet supported', '"rfc2136": dynamic updates')
    raise Unfit(describe(value), '"rfc2136": dynamic updates')


def read_publisher(name: str, table: Table, folder: str) -> PublisherSpec:
    """Return a publisher (``[dns.NAME]``)."""
    table.get("type", publisher_type)
    spec = PublisherSpec(
        name=name,
        server=table.get("server", kinds.server),
        port=table.get("port", kinds.port, 53),
        zone=table.get("zone", kinds.zone),
        tsig_key=table.get("tsig_key", kinds.tsig_key(folder)),
    )
    if not table.has("tsig_key"):
        table.warning("tsig_key", "nothing, so updates are not signed", "a TSIG key (RFC 8945)")
    table.finish()
    return spec


def read_resolver(table: Table, folder: str) -> ResolverSpec:
    """Return how names are validated (``[resolver]``)."""
    spec = ResolverSpec(
        address=table.get("address", kinds.address),
        port=table.get("port", kinds.port, 53),
        trust_anchor=table.get("trust_anchor", kinds.file(folder)),
        root_hints=table.get("root_hints", kinds.file(folder)),
    )
    if table.has("port") and not table.has("address"):
        table.problem(
            "port", "a port without an address", "address too, or neither: the authoritative servers are asked"
        )
    if table.has("root_hints") and table.has("address"):
        table.warning("root_hints", "root hints beside address", "one of them: a resolver is asked, so no hint is used")
    table.finish()
    return spec


def read_serve(table: Table) -> ServeSpec:
    """Return whom `danelaw serve` trusts (``[serve]``)."""
    allow = table.items("allow", kinds.network, '["192.168.0.0/16"]', empty=True) or ()
    proxies = table.items("proxies", kinds.network, '["127.0.0.1"]', empty=True) or ()
    table.finish()
    return ServeSpec(tuple(dict.fromkeys(allow)), tuple(dict.fromkeys(proxies)))


def read_connect(table: Table) -> dict[str, str]:
    """Return ``[connect]``: where an endpoint or an address is reached in its place, both as ``HOST:PORT``."""
    result: dict[str, str] = {}
    for key in table.keys:
        value = table.get(key, kinds.socket_text)
        try:
            endpoint = format_host_port(*parse_host_port(key))
        except BadName as error:
            table.problem(key, f"the key {error}", 'a key such as "mail.example.org:25" or "192.0.2.25:25"')
            continue
        if endpoint in result:
            table.problem(key, f"{endpoint} for the second time", "each endpoint once")
        elif value is not None:
            result[endpoint] = value
    return result


def read_authoritative(table: Table) -> dict[str, tuple[str, ...]]:
    """Return ``[authoritative]``: the servers of a zone, ``ADDRESS:PORT`` each, in place of those in DNS."""
    result: dict[str, tuple[str, ...]] = {}
    for key in table.keys:
        servers = table.items(key, kinds.socket_text, '["127.0.53.1:53"]')
        try:
            zone = kinds.zone(key)
        except Unfit as unfit:
            table.problem(key, f"the key {unfit.found}", "the name of a zone")
            continue
        if zone in result:
            table.problem(key, f"the zone {zone} for the second time", "each zone once")
        elif servers:
            result[zone] = tuple(dict.fromkeys(servers))
    return result
