"""Random chains and records: `dane.verify` and OpenSSL say the same, but for what is explained here by name.

The examples are the same each time: a disagreement that nobody has met yet is for whoever looks for one (without
``derandomize``, with more ``max_examples``; the last search had 10,000), not for whoever changed something else.

OpenSSL judges by the functions that s_client and Postfix call (`fakes.openssl_dane`). At the end s_client itself says
of some chains what those functions say.
"""

import dataclasses
import hashlib
import itertools
import re
import socket
import ssl
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import event, given, settings
from hypothesis import strategies as st

from chains import HOST, NOW
from danelaw import dane, pki
from danelaw.model import RecordVerdict, TlsaRecord
from fakes.openssl_dane import judge
from fakes.peers import Peer

OTHER = "mail.example.com"
DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM

Dates = Literal["valid", "expired", "not yet"]
DATES = {"valid": (-DAY, DAY), "expired": (-9 * DAY, -DAY), "not yet": (DAY, 9 * DAY)}

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

serials = itertools.count(1)


@cache
def keys() -> Sequence[CertificateIssuerPrivateKeyTypes]:
    """One key a certificate would take too long: each test process has these."""
    return (
        *(ec.generate_private_key(ec.SECP256R1()) for _ in range(4)),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(65537, 3072),
        ed25519.Ed25519PrivateKey.generate(),
        ed25519.Ed25519PrivateKey.generate(),
    )


@dataclass(frozen=True)
class Made:
    """A certificate, its key, and its name as a subject."""

    key: CertificateIssuerPrivateKeyTypes
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class Look:
    """Everything of a certificate that is not its issuer or its name."""

    key: int
    ca: bool
    dates: Dates = "valid"
    path_length: int | None = None
    names: tuple[str, ...] = ()
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    usage: Literal["any", "sign certificates", "sign", "sign CRLs"] = "any"
    permitted: str = ""
    excluded: str = ""
    critical: bool = False


def made(look: Look, name: str, issuer: Made | None, *, identified: bool = True) -> Made:
    """Sign a certificate; without an issuer by its own key. ``identified``: with the identifiers of both keys."""
    key = keys()[look.key]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    first, last = DATES[look.dates]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(next(serials))
        .not_valid_before(NOW + first)
        .not_valid_after(NOW + last)
        .add_extension(x509.BasicConstraints(look.ca, look.path_length if look.ca else None), critical=True)
    )
    if identified:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(above, critical=False)
    if look.names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in look.names]), critical=False
        )
    if look.purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(look.purposes), critical=False)
    if look.usage != "any":
        builder = builder.add_extension(key_usage(look.usage), critical=True)
    if look.permitted or look.excluded:
        permitted = [x509.DNSName(look.permitted)] if look.permitted else None
        excluded = [x509.DNSName(look.excluded)] if look.excluded else None
        builder = builder.add_extension(x509.NameConstraints(permitted, excluded), critical=True)
    if look.critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Made(key, builder.sign(signer, digest))


def key_usage(what: str) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=what == "sign",
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=what == "sign certificates",
        crl_sign=what == "sign CRLs",
        encipher_only=False,
        decipher_only=False,
    )


# --- what is drawn ---------------------------------------------------------------------------------------------------


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Draw the usual value nearly always: faults that come together hide each other."""
    return st.integers(0, 24).flatmap(lambda n: st.just(usual) if n else st.sampled_from(others))


def rarely(*, fault: bool) -> st.SearchStrategy[bool]:
    return mostly(not fault, fault)


a_key = st.integers(0, 8)
ca_looks = st.builds(
    Look,
    key=a_key,
    ca=rarely(fault=False),
    dates=mostly("valid", "expired", "not yet"),
    path_length=mostly(None, 0, 0, 1, 2),
    purposes=mostly((), (SERVER,), (CLIENT,), (CLIENT, SERVER)),
    usage=mostly("any", "sign certificates", "sign"),
    permitted=mostly("", "example.org", "example.com", HOST),
    excluded=mostly("", "example.org", "example.com"),
    critical=rarely(fault=True),
)
leaf_looks = st.builds(
    Look,
    key=a_key,
    ca=rarely(fault=True),
    dates=mostly("valid", "expired", "not yet"),
    names=mostly((HOST,), ("*.example.org",), (OTHER,), (OTHER, HOST), ()),
    purposes=mostly((), (SERVER,), (CLIENT,)),
    usage=mostly("any", "sign", "sign CRLs"),
    critical=rarely(fault=True),
)


@dataclass(frozen=True)
class Setting:
    """A chain as presented, the roots that are trusted, and every certificate that a record may pin."""

    presented: tuple[bytes, ...]
    roots: tuple[bytes, ...]
    everything: tuple[bytes, ...]
    in_order: bool

    def __repr__(self) -> str:
        show = {each: f"#{number} {pki.subject_text(each)}" for number, each in enumerate(self.everything)}
        return f"presented {[show[each] for each in self.presented]}, trusted {[show[each] for each in self.roots]}"

    @property
    def namesakes(self) -> bool:
        """Whether some certificates have one subject, so that there may be several ways up, some of them wrong."""
        subjects = [x509.load_der_x509_certificate(each).subject for each in dict.fromkeys(self.everything)]
        return len(set(subjects)) < len(subjects)


@st.composite
def settings_of_a_chain(draw: st.DrawFn) -> Setting:
    cas: list[Made] = []
    # Where two keys follow each other under one name, OpenSSL needs the identifiers to find its way.
    one_name = draw(st.integers(0, 9)) == 0
    identified = one_name or draw(st.booleans())
    for number in range(draw(st.sampled_from([0, 1, 1, 2, 2, 2, 3, 3]))):
        issuer = cas[-1] if cas else None
        name = "CA 0" if one_name else f"CA {number}"
        cas.append(made(draw(ca_looks), name, issuer, identified=identified))
    common_name = draw(st.sampled_from([HOST, OTHER]))
    leaf = made(draw(leaf_looks), common_name, cas[-1] if cas else None, identified=identified)
    stranger = made(Look(0, ca=True), "Stranger", None, identified=identified)
    beside = [stranger]
    if cas and draw(st.integers(0, 3)) == 0:
        # Another CA signed one of the keys, or a namesake has another key.
        original = draw(st.sampled_from(cas))
        number = keys().index(original.key) if draw(st.booleans()) else draw(a_key)
        look = draw(ca_looks)
        name = original.certificate.subject.rfc4514_string().removeprefix("CN=")
        beside.append(made(Look(number, ca=True, dates=look.dates), name, stranger, identified=identified))
    above = [each.der for each in reversed(cas)]
    in_order = draw(st.booleans())
    if not in_order:
        above = draw(st.permutations([*above, *(each.der for each in beside)]))
    if draw(st.integers(0, 4)) == 0:
        above = above[: draw(st.integers(0, len(above)))]
    roots = [each.der for each in (*cas[:1], stranger) if draw(st.booleans())]
    everything = tuple(each.der for each in (leaf, *cas, *beside))
    return Setting((leaf.der, *above), tuple(roots), everything, in_order)


@st.composite
def records_of(draw: st.DrawFn, setting: Setting) -> TlsaRecord:
    usage, selector, matching_type = draw(st.integers(0, 3)), draw(st.integers(0, 1)), draw(st.integers(0, 2))
    leaf, *others = setting.everything
    pinned = draw(mostly(leaf, *others) if usage in {1, 3} else st.sampled_from([*others, *others, leaf]))
    part = pinned if selector == 0 else pki.spki_of_certificate(pinned)
    data = {0: part, 1: hashlib.sha256(part).digest(), 2: hashlib.sha512(part).digest()}[matching_type]
    fault = draw(mostly("", "another", "cut"))
    if fault == "another":
        data = bytes([data[0] ^ 1]) + data[1:] if matching_type else data
    elif fault == "cut":
        data = data[:-1]
    return TlsaRecord(usage, selector, matching_type, data)


# --- the comparison --------------------------------------------------------------------------------------------------


def of_record(record: TlsaRecord, setting: Setting, *, dated: bool = True) -> RecordVerdict:
    chain = pki.chain_from_der(setting.presented)
    (found,) = dane.verify([record], chain, [HOST], NOW if dated else None, smtp=False, roots_der=setting.roots)
    return found


def explanation(verdict: RecordVerdict, setting: Setting, *, accepted: bool) -> str:
    """Name the reason why OpenSSL's verdict may be another; "" where there is none."""
    if accepted and not verdict.matches:
        return "dates of the pinned certificate" if pins_an_outdated_intermediate(verdict, setting) else ""
    return "another way up" if has_a_way_up(verdict.record, setting) else ""


def has_a_way_up(record: TlsaRecord, setting: Setting) -> bool:
    """OpenSSL goes up one way and takes a namesake for an issuer unseen; it accepts where only the right way is left.

    A trusted namesake is always on its way: then it accepts both halves of what usage 0 asks, each by itself.
    """
    leaf, *others = setting.presented
    of_leaf = TlsaRecord(1, 1, 0, pki.spki_of_certificate(leaf))
    halves = ([dataclasses.replace(record, usage=2)], [of_leaf])

    def accepts(records: Sequence[TlsaRecord]) -> bool:
        return any(
            judge(records, (leaf, *some), [HOST], NOW, roots).error == 0
            for some in subsets(others)
            for roots in subsets(setting.roots)
        )

    return setting.namesakes and (accepts([record]) or (record.usage == 0 and all(map(accepts, halves))))


def subsets(items: Sequence[bytes]) -> Sequence[tuple[bytes, ...]]:
    return [some for size in range(len(items) + 1) for some in itertools.combinations(items, size)]


def pins_an_outdated_intermediate(verdict: RecordVerdict, setting: Setting) -> bool:
    """OpenSSL skips the dates of the certificate that DANE-TA pins, unless that is self-issued; we do not."""
    record = verdict.record
    if record.usage != 2:
        return False
    pinned = [each for each in (*setting.presented[1:], record.data) if dane.selects(record, each)]
    return of_record(record, setting, dated=False).matches and any(
        not pki.is_valid_at(each, NOW) and not self_issued(each) for each in pinned
    )


def self_issued(der: bytes) -> bool:
    """Return whether OpenSSL takes a certificate for a root: by its names, and key identifiers where it has any."""
    certificate = x509.load_der_x509_certificate(der)
    if certificate.issuer != certificate.subject:
        return False
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        return own == certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return True


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_each_record_is_judged_as_openssl_does(data: st.DataObject) -> None:
    setting = data.draw(settings_of_a_chain())
    for record in data.draw(st.lists(records_of(setting), min_size=1, max_size=6)):
        verdict = of_record(record, setting)
        judged = judge([record], setting.presented, [HOST], NOW, setting.roots)
        assert judged.usable == (verdict.usable,)
        if not verdict.usable:
            continue
        accepted = judged.error == 0
        event(f"usage {record.usage}: {'accepted' if accepted else 'refused'}")
        if accepted and verdict.matches and verdict.depth is not None and setting.in_order and not setting.namesakes:
            assert verdict.depth == judged.depth, (verdict, judged)
        if verdict.matches != accepted:
            why = explanation(verdict, setting, accepted=accepted)
            event(f"explained: {why}")
            assert why, f"{record.spec} {verdict} {judged} of {setting!r}"


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_an_rrset_is_judged_as_openssl_does(data: st.DataObject) -> None:
    setting = data.draw(settings_of_a_chain())
    records = data.draw(st.lists(records_of(setting), min_size=2, max_size=6))
    verdicts = dane.verify(
        records, pki.chain_from_der(setting.presented), [HOST], NOW, smtp=False, roots_der=setting.roots
    )
    judged = judge(records, setting.presented, [HOST], NOW, setting.roots)
    assert judged.usable == tuple(each.usable for each in verdicts)
    if not any(judged.usable):
        return
    accepted, ours = judged.error == 0, any(each.counts and each.matches for each in verdicts)
    event("accepted" if accepted else "refused")
    if ours == accepted:
        return
    explained = [explanation(each, setting, accepted=accepted) for each in verdicts if each.matches is not accepted]
    assert (
        any(explained)
        or completes(records, accepted=accepted)
        or takes_it_from_the_store(records, setting, accepted=accepted)
    ), (records, setting)


def completes(records: Sequence[TlsaRecord], *, accepted: bool) -> bool:
    """OpenSSL lets a certificate that one record holds in full complete the way of another record; we do not."""
    return accepted and len(records) > 1 and any(each.spec in {(0, 0, 0), (2, 0, 0)} for each in records)


def takes_it_from_the_store(records: Sequence[TlsaRecord], setting: Setting, *, accepted: bool) -> bool:
    """With records of usages 0 and 1 OpenSSL takes a trusted CA from its store, and usage 2 matches nothing there.

    Without them it accepts.
    """
    others = [each for each in records if each.usage not in {0, 1}]
    return (
        not accepted
        and len(others) < len(records)
        and judge(others, setting.presented, [HOST], NOW, setting.roots).error == 0
    )


# --- each explanation, by an example --------------------------------------------------------------------------------


def verdicts_of(
    record: TlsaRecord, presented: Sequence[Made], roots: Sequence[Made] = (), name: str = HOST
) -> tuple[bool, bool]:
    """Return what we say and what OpenSSL says."""
    ders, trusted = [each.der for each in presented], [each.der for each in roots]
    (ours,) = dane.verify([record], pki.chain_from_der(ders), [name], NOW, smtp=False, roots_der=trusted)
    return ours.matches, judge([record], ders, [name], NOW, trusted).error == 0


def test_openssl_skips_the_dates_of_a_pinned_intermediate() -> None:
    """It takes it for a trust anchor, whose dates RFC 5280 section 6.1 does not ask for; other clients refuse."""
    cases: list[tuple[Dates, tuple[bool, bool]]] = [("valid", (True, True)), ("expired", (False, True))]
    for dates, expected in cases:
        root = made(Look(0, ca=True), "Root", None)
        between = made(Look(1, ca=True, dates=dates), "Between", root)
        leaf = made(Look(2, ca=False, names=(HOST,)), HOST, between)
        record = TlsaRecord(2, 0, 1, hashlib.sha256(between.der).digest())
        assert verdicts_of(record, (leaf, between, root)) == expected
    expired = made(Look(0, ca=True, dates="expired"), "Root", None)
    record = TlsaRecord(2, 0, 1, hashlib.sha256(expired.der).digest())
    below = made(Look(2, ca=False, names=(HOST,)), HOST, expired)
    assert verdicts_of(record, (below, expired)) == (False, False)  # a self-signed one's dates it does look at


def test_openssl_takes_a_namesake_for_the_issuer() -> None:
    root = made(Look(0, ca=True), "Root", None, identified=False)
    namesake = made(Look(1, ca=True), "Root", None, identified=False)
    leaf = made(Look(2, ca=False, names=(HOST,)), HOST, root, identified=False)
    record = TlsaRecord(2, 0, 1, hashlib.sha256(root.der).digest())
    assert verdicts_of(record, (leaf, root, namesake)) == (True, True)
    assert verdicts_of(record, (leaf, namesake, root)) == (True, False)


def test_openssl_uses_what_one_record_holds_for_another() -> None:
    root, own = made(Look(0, ca=True), "Root", None), made(Look(1, ca=True), "Own", None)
    between = made(Look(3, ca=True), "Between", own)
    leaf = made(Look(2, ca=False, names=(HOST,)), HOST, between)
    records = [TlsaRecord(0, 0, 0, between.der), TlsaRecord(2, 0, 1, hashlib.sha256(own.der).digest())]
    ders = [leaf.der, own.der]
    ours = dane.verify(records, pki.chain_from_der(ders), [HOST], NOW, smtp=False, roots_der=[root.der])
    assert not any(each.matches for each in ours)  # 0 0 0 lacks trust, and 2 0 1 the certificate between
    assert judge(records, ders, [HOST], NOW, [root.der]).error == 0
    assert completes(records, accepted=True)


def test_openssl_matches_no_trusted_ca_by_usage_2_where_there_is_a_record_of_usage_0_or_1() -> None:
    root, stranger = made(Look(0, ca=True), "Root", None), made(Look(1, ca=True), "Stranger", None)
    leaf = made(Look(2, ca=False, names=(HOST,)), HOST, root)
    pinned, beside = (
        TlsaRecord(usage, 0, 1, hashlib.sha256(one.der).digest()) for usage, one in ((2, root), (1, stranger))
    )
    ders = [leaf.der, root.der]
    ours = dane.verify([pinned, beside], pki.chain_from_der(ders), [HOST], NOW, smtp=False, roots_der=[root.der])
    assert [each.matches for each in ours] == [True, False]
    assert judge([pinned, beside], ders, [HOST], NOW, [root.der]).error != 0
    assert judge([pinned, beside], ders, [HOST], NOW, [stranger.der]).error == 0
    assert judge([pinned], ders, [HOST], NOW, [root.der]).error == 0


def test_openssl_wants_two_labels_behind_a_wildcard() -> None:
    for wildcard, name, expected in (("*.example.org", HOST, (True, True)), ("*.test", "mail.test", (True, False))):
        root = made(Look(0, ca=True), "Root", None)
        leaf = made(Look(2, ca=False, names=(wildcard,)), HOST, root)
        record = TlsaRecord(2, 0, 1, hashlib.sha256(root.der).digest())
        assert verdicts_of(record, (leaf, root), name=name) == expected


def test_openssl_does_not_trust_an_intermediate_by_itself() -> None:
    root = made(Look(0, ca=True), "Root", None)
    between = made(Look(1, ca=True), "Between", root)
    leaf = made(Look(2, ca=False, names=(HOST,)), HOST, between)
    record = TlsaRecord(1, 0, 1, hashlib.sha256(leaf.der).digest())
    assert verdicts_of(record, (leaf, between), [between]) == (True, False)
    assert verdicts_of(record, (leaf, between), [root]) == (True, True)


# --- s_client itself ------------------------------------------------------------------------------------------------


def server(folder: Path, presented: Sequence[Made]) -> Peer:
    """Serve a chain as it is."""
    key = presented[0].key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "chain-and-key.pem"
    file.write_bytes(b"".join(map(pem, presented)) + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def talk(stream: socket.socket, number: int) -> None:
        del number
        with suppress(OSError), context.wrap_socket(stream, server_side=True) as encrypted:
            encrypted.recv(1)

    return Peer(talk)


def pem(one: Made) -> bytes:
    return one.certificate.public_bytes(PEM)


def s_client(address: tuple[str, int], record: TlsaRecord, roots: Path | None) -> int:
    """Return the verification result that s_client prints."""
    host, port = address
    argv = [
        "openssl",
        "s_client",
        "-connect",
        f"{host}:{port}",
        "-dane_tlsa_domain",
        HOST,
        "-dane_tlsa_rrdata",
        str(record),
    ]
    argv += [
        "-dane_ee_no_namechecks",
        "-verify_return_error",
        "-attime",
        str(int(NOW.timestamp())),
        "-no-CApath",
        "-no-CAstore",
    ]
    argv += ["-CAfile", str(roots)] if roots else ["-no-CAfile"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r"Verify return code: (\d+)", done.stdout)
    assert found, done.stdout + done.stderr
    return int(found[1])


def test_s_client_says_what_its_functions_say(tmp_path: Path) -> None:
    root, stranger = made(Look(0, ca=True), "Root", None), made(Look(3, ca=True), "Stranger", None)
    between = made(Look(1, ca=True), "Between", root)
    late = made(Look(1, ca=True, dates="expired"), "Late", root)
    leaf = Look(2, ca=False, names=(HOST,))
    elsewhere = dataclasses.replace(leaf, names=(OTHER,), key=7)
    whole = [made(leaf, HOST, between), between, root]
    trusted = tmp_path / "roots.pem"
    trusted.write_bytes(pem(root))
    seen = set()
    for presented, pinned in [
        (whole, [whole[0], between, root, stranger]),
        ([whole[0], stranger, root, between], [root, stranger]),
        ([whole[0], root], [root]),
        ([made(leaf, HOST, late), late, root], [late, root]),
        ([made(elsewhere, OTHER, between), between, root], [root]),
        ([made(leaf, HOST, None)], [whole[0]]),
    ]:
        with server(tmp_path, presented) as peer:
            for one in pinned:
                for usage in (1, 3) if one is whole[0] else (0, 2):
                    record = TlsaRecord(usage, 0, 1, hashlib.sha256(one.der).digest())
                    judged = judge([record], [each.der for each in presented], [HOST], NOW, [root.der])
                    assert s_client(peer.address, record, trusted) == judged.error
                    seen.add(judged.error)
    assert len(seen) >= 4  # it passed, and failed in several ways
