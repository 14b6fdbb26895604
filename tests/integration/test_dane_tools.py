"""Records of `danelaw tlsa` beside those of openssl, danetool, hash-slinger, ldns-dane; verdicts beside OpenSSL's."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from cryptography import x509

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw import dane, pki
from danelaw.cli.arguments import parser
from danelaw.cli.tlsa import tlsa
from danelaw.model import RecordSpec, TlsaRecord
from integration.tls_servers import openssl_server

pytestmark = pytest.mark.world

NOW = datetime.now(UTC)
SPECS = [RecordSpec(u, s, m) for u in range(4) for s in range(2) for m in range(3)]


def made(key_type: str) -> tuple[Issued, Issued, Issued]:
    """Return leaf, intermediate and root, valid now."""
    root = issue("Root", ca=True, at=NOW)
    intermediate = issue("Intermediate", root, ca=True, path_length=0, at=NOW, key=rsa2048())
    leaf = issue(HOST, intermediate, at=NOW, key=p256() if key_type == "p256" else rsa2048())
    return leaf, intermediate, root


def output(*argv: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run(list(map(str, argv)), input=stdin, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def by_openssl(pinned: Path, selector: int, matching_type: int) -> bytes:
    """Do what administrators do: certificate or public key as DER, then a digest of it."""
    if selector == 0:
        selected = output("openssl", "x509", "-in", pinned, "-outform", "DER")
    else:
        public = output("openssl", "x509", "-in", pinned, "-noout", "-pubkey")
        selected = output("openssl", "pkey", "-pubin", "-outform", "DER", stdin=public)
    if matching_type == 0:
        return selected
    return output("openssl", "dgst", "-binary", ("-sha256", "-sha512")[matching_type - 1], stdin=selected)


def by_danetool(pinned: Path, spec: RecordSpec) -> TlsaRecord:
    """Read what danetool prints: generic rdata, ``TYPE52 \\# 35 030101…``."""
    argv = ["danetool", "--tlsa-rr", "--host", HOST, "--load-certificate", str(pinned)]
    if spec.usage in {0, 2}:
        argv.append("--ca")
    if spec.usage in {2, 3}:
        argv.append("--domain")
    else:
        argv.append("--no-domain")
    if spec.selector == 0:
        argv.append("--x509")
    argv.append(f"--hash={('', 'SHA256', 'SHA512')[spec.matching_type]}")
    return dane.parse_record(in_tlsa(output(*argv).decode()))


def in_tlsa(line: str) -> str:
    """Return the data of a line in generic notation (RFC 3597 section 5) or TLSA's own."""
    text = line.split("TYPE52", 1)[1] if "TYPE52" in line else line.split("TLSA", 1)[1]
    if "\\#" not in text:
        return " ".join(text.split())
    digits = "".join(text.replace("(", " ").replace(")", " ").split("\\#", 1)[1].split()[1:])
    octets = bytes.fromhex(digits)
    return f"{octets[0]} {octets[1]} {octets[2]} {octets[3:].hex()}"


# --- records -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A file of certificates, what its leaf is, and the CA certificates above it, the nearest first."""

    file: Path
    leaf: Path
    anchors: tuple[Path, ...]

    def pinned(self, usage: int) -> Path:
        """Return the certificate that a record of a usage pins: the leaf, or the topmost CA certificate."""
        return self.leaf if usage in {1, 3} else self.anchors[-1]


SHAPES = ["chain", "without root", "backwards", "self-signed"]
KEY_TYPES = ["p256", "rsa2048"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Case]:
    """Make every shape of file with either kind of key."""
    found = {}
    for key_type in KEY_TYPES:
        folder = tmp_path_factory.mktemp(key_type)
        leaf, intermediate, root = made(key_type)
        # What `openssl req -x509` makes by default: a service's own certificate that says it is a CA's.
        alone = issue(HOST, at=NOW, ca=True, key=p256() if key_type == "p256" else rsa2048())
        names = {"leaf": leaf, "intermediate": intermediate, "root": root, "alone": alone}
        paths = {name: each.write(folder, name)[2] for name, each in names.items()}
        orders = {
            "chain": ("leaf", "intermediate", "root"),
            "without root": ("leaf", "intermediate"),
            "backwards": ("root", "intermediate", "leaf"),
            "self-signed": ("alone",),
        }
        for shape, order in orders.items():
            file = folder / f"{shape}.pem"
            file.write_bytes(b"".join(paths[name].read_bytes() for name in order))
            above = tuple(paths[name] for name in ("intermediate", "root", "alone") if name in order)
            found[key_type, shape] = Case(file, paths["alone" if shape == "self-signed" else "leaf"], above)
    return found


def printed(file: Path, spec: RecordSpec, *options: str) -> str:
    """Return the one line that the command prints."""
    arguments = ["-q", "tlsa", str(file), "--record", str(spec), "--endpoint", f"{HOST}:25", *options]
    with redirect_stdout(StringIO()) as said:
        assert tlsa(parser().parse_args(arguments)) == 0
    (line,) = said.getvalue().splitlines()
    assert line.startswith(f"_25._tcp.{HOST}. ")
    return line


def by_danelaw(file: Path, spec: RecordSpec, *options: str) -> TlsaRecord:
    """Return the one record that the command prints, in its zone file form."""
    return dane.parse_record(in_tlsa(printed(file, spec, *options)))


def compare(tool: str, records: Sequence[tuple[TlsaRecord, TlsaRecord]]) -> None:
    """Hold records of ours against those of a tool."""
    for ours, theirs in records:
        assert ours == theirs, f"{tool} says {str(theirs)[:60]}, we say {str(ours)[:60]}"


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_openssl_computes_the_same_data(shape: str, key_type: str, cases: dict[tuple[str, str], Case]) -> None:
    case = cases[key_type, shape]
    data = {
        (pinned, selector, matching_type): by_openssl(pinned, selector, matching_type)
        for pinned in {case.leaf, case.anchors[-1]}
        for selector in (0, 1)
        for matching_type in (0, 1, 2)
    }
    records = [
        (by_danelaw(case.file, spec), TlsaRecord(*spec, data[case.pinned(spec.usage), *spec[1:]])) for spec in SPECS
    ]
    compare("openssl", records)


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_openssl_computes_the_same_data_of_keys_and_csrs(key_type: str, cases: dict[tuple[str, str], Case]) -> None:
    leaf = cases[key_type, "chain"].leaf
    key = leaf.with_name("leaf-key.pem")
    csr, public = leaf.with_name("leaf.csr"), leaf.with_name("leaf.pub")
    output("openssl", "req", "-new", "-key", key, "-subj", "/CN=x", "-out", csr)
    output("openssl", "pkey", "-in", key, "-pubout", "-outform", "DER", "-out", public)
    for spec in (spec for spec in SPECS if spec.usage in {1, 3} and spec.selector == 1):
        theirs = TlsaRecord(*spec, by_openssl(leaf, 1, spec.matching_type))
        compare("openssl", [(by_danelaw(file, spec), theirs) for file in (key, csr, public)])


DANETOOL_CANNOT = [spec for spec in SPECS if spec.matching_type == 0]
"""It knows no matching type 0: its --hash takes digests alone."""


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_danetool_makes_the_same_records(shape: str, key_type: str, cases: dict[tuple[str, str], Case]) -> None:
    case = cases[key_type, shape]
    specs = [spec for spec in SPECS if spec not in DANETOOL_CANNOT]
    assert len(specs) == 16
    # It takes the first certificate of a file whatever the usage, so it is given the one that is meant.
    compare("danetool", [(by_danelaw(case.file, spec), by_danetool(case.pinned(spec.usage), spec)) for spec in specs])


def test_danetool_cannot_do_more() -> None:
    """The list above is true: without a digest it refuses."""
    argv = ["danetool", "--tlsa-rr", "--host", HOST, "--load-certificate", "/dev/null", "--hash=none"]
    done = subprocess.run(argv, capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
    assert b"invalid hash" in done.stderr


@pytest.mark.parametrize("key_type", KEY_TYPES)
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape != "backwards"])
def test_hash_slinger_makes_the_same_records(shape: str, key_type: str, cases: dict[tuple[str, str], Case]) -> None:
    """All 24; it asks which CA certificate is meant, and the last one needs no answer. It takes no chain backwards."""
    case = cases[key_type, shape]
    records = [dane.parse_record(in_tlsa(line)) for line in by_hash_slinger([slinger(case, spec) for spec in SPECS])]
    compare(
        "hash-slinger", [(by_danelaw(case.file, spec), record) for spec, record in zip(SPECS, records, strict=True)]
    )


def test_hash_slinger_writes_the_same_generic_form(cases: dict[tuple[str, str], Case]) -> None:
    case = cases["p256", "chain"]
    lines = by_hash_slinger([[*slinger(case, spec), "--output", "generic"] for spec in SPECS])
    for spec, theirs in zip(SPECS, lines, strict=True):
        ours = printed(case.file, spec, "--format", "generic")
        assert ours.replace(" 3600 IN ", " IN ") == theirs  # it leaves the TTL to the zone


def test_hash_slinger_pins_the_same_intermediate_where_it_is_asked_for(cases: dict[tuple[str, str], Case]) -> None:
    case = cases["p256", "chain"]
    spec = RecordSpec(2, 0, 1)
    (line,) = by_hash_slinger([slinger(case, spec)], answers="n\ny\n")  # not the leaf, but what comes next
    theirs = dane.parse_record(in_tlsa(line))
    compare("hash-slinger", [(by_danelaw(case.file, spec, "--ta", "1"), theirs)])
    assert by_danelaw(case.file, spec) != theirs


SLINGER = """
import io, json, runpy, sys
runs, answers = json.load(sys.stdin)
for argv in runs:
    sys.argv, sys.stdin = ["tlsa", "--create", *argv], io.StringIO(answers)
    runpy.run_path("/usr/bin/tlsa", run_name="__main__")
"""
"""Runs the program itself, many times in one process: to start it takes a third of a second."""


def slinger(case: Case, spec: RecordSpec) -> list[str]:
    """Return the arguments of hash-slinger's tlsa for a record."""
    usage, selector, matching_type = map(str, spec)
    options = ["--usage", usage, "--selector", selector, "--mtype", matching_type]
    return [*options, "--certificate", str(case.file), "--port", "25", HOST]


def by_hash_slinger(runs: Sequence[Sequence[str]], answers: str = "n\n" * 9) -> list[str]:
    """Return the line with the record of each run of hash-slinger's tlsa."""
    said = output("/usr/bin/python3", "-W", "ignore", "-c", SLINGER, stdin=json.dumps([runs, answers]).encode())
    lines = [line for line in said.decode().splitlines() if " IN TLSA " in line or " IN TYPE52 " in line]
    assert len(lines) == len(runs)
    return lines


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_ldns_dane_makes_the_same_record(spec: RecordSpec, cases: dict[tuple[str, str], Case]) -> None:
    case = cases["p256", "chain"]
    # -c takes the chain from a file, so that nobody is asked for anything; -o counts from the chain's end.
    top: list[str | Path] = ["-o", "0"] if spec.usage in {0, 2} else []
    line = output(
        "ldns-dane", "-n", "-c", case.file, "-f", case.anchors[-1], *top, "create", HOST, "25", *map(str, spec)
    )
    compare("ldns-dane", [(by_danelaw(case.file, spec), dane.parse_record(in_tlsa(line.decode())))])


def test_a_wrong_digest_is_noticed(cases: dict[tuple[str, str], Case]) -> None:
    """The twin of all these comparisons: one octet, another part, another certificate or other parameters fail them."""
    case, spec = cases["p256", "chain"], RecordSpec(3, 1, 1)
    ours = by_danelaw(case.file, spec)
    data = by_openssl(case.leaf, 1, 1)
    compare("openssl", [(ours, TlsaRecord(*spec, data))])
    wrong = [
        TlsaRecord(*spec, data[:-1] + bytes([data[-1] ^ 1])),
        TlsaRecord(*spec, by_openssl(case.leaf, 0, 1)),
        TlsaRecord(*spec, by_openssl(case.anchors[0], 1, 1)),
        TlsaRecord(1, 1, 1, data),
    ]
    for theirs in wrong:
        with pytest.raises(AssertionError, match="openssl says"):
            compare("openssl", [(ours, theirs)])


# --- OpenSSL as a DANE client ----------------------------------------------------------------------------------------


def openssl_accepts(address: tuple[str, int], record: TlsaRecord, name: str = HOST) -> bool:
    argv = ["openssl", "s_client", "-connect", f"{address[0]}:{address[1]}", "-brief", "-verify_return_error"]
    argv += ["-dane_tlsa_domain", name, "-dane_tlsa_rrdata", str(record), "-dane_ee_no_namechecks"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert "CONNECTION ESTABLISHED" in said or "verif" in said, said
    return done.returncode == 0 and "Verification: OK" in said


def test_openssl_as_a_client_gives_the_same_verdicts(tmp_path: Path) -> None:
    leaf, intermediate, root = made("p256")
    stranger = issue("Stranger", ca=True, at=NOW)
    chains = {
        "whole": (leaf.der, intermediate.der, root.der),
        "without root": (leaf.der, intermediate.der),
        "leaf alone": (leaf.der,),
        "stranger beside": (leaf.der, intermediate.der, stranger.der),
    }
    records = [
        dane.tlsa_record(RecordSpec(usage, selector, matching_type), pki.chain_from_der(one.chain_der))
        for one in (leaf, intermediate, root, stranger)
        for usage in ((3,) if one is leaf else (2,))
        for selector in (0, 1)
        for matching_type in (0, 1, 2)
    ]
    records.append(TlsaRecord(2, 0, 1, hashlib.sha256(leaf.der).digest()))
    accepted = 0
    for presented in chains.values():
        with openssl_server(tmp_path, leaf, presented=presented) as address:
            for record in records:
                # Names matter alike in every chain: another one is asked for in the whole chain alone.
                for name in (HOST, "other.example.com") if len(presented) == 3 else (HOST,):
                    chain = pki.chain_from_der(presented)
                    ours = dane.matches(record, chain, [name], datetime.now(UTC))
                    assert ours == openssl_accepts(address, record, name), (len(presented), str(record)[:40], name)
                    accepted += ours
    assert accepted > 30  # and not merely agreement about nothing


FAULTS: dict[str, dict[str, object]] = {
    "sound": {},
    "expired": {"days": -0.5},
    "not a CA": {"ca": False},
    "other names": {"constraints": x509.NameConstraints([x509.DNSName("example.com")], None)},
    "own names": {"constraints": x509.NameConstraints([x509.DNSName("example.org")], None)},
    "excluded": {"constraints": x509.NameConstraints(None, [x509.DNSName(HOST)])},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at_root", [False, True], ids=["intermediate", "root"])
def test_openssl_finds_the_same_faults_in_issuers(fault: str, at_root: bool, tmp_path: Path) -> None:  # noqa: FBT001  (the table's)
    options = {"ca": True, "at": NOW, **FAULTS[fault]}
    sound = {"ca": True, "at": NOW}
    root = issue("Root", **(options if at_root else sound))  # type: ignore[arg-type]  # a table of options
    intermediate = issue("Intermediate", root, **(sound if at_root else options))  # type: ignore[arg-type]
    leaf = issue(HOST, intermediate, at=NOW)
    chain = pki.chain_from_der(leaf.chain_der)
    with openssl_server(tmp_path, leaf) as address:
        for pinned in (root, intermediate):
            record = TlsaRecord(2, 0, 1, hashlib.sha256(pinned.der).digest())
            ours, theirs = dane.matches(record, chain, [HOST], datetime.now(UTC)), openssl_accepts(address, record)
            if fault == "expired" and not at_root and pinned is intermediate:
                # OpenSSL alone does not look at the dates of a trust anchor that is not self-signed.
                assert (ours, theirs) == (False, True)
            else:
                assert ours == theirs
        ee = dane.tlsa_record(RecordSpec(3, 1, 1), chain)
        assert dane.matches(ee, chain, [HOST], datetime.now(UTC))
        assert openssl_accepts(address, ee)


@pytest.mark.parametrize("selfsigned", [True, False], ids=["root", "intermediate"])
def test_openssl_lets_the_same_old_certificates_issue(selfsigned: bool, tmp_path: Path) -> None:  # noqa: FBT001  (the table's)
    """X.509 version 1 knows no constraints: a root may issue, an intermediate may not."""
    root = issue("Root", ca=True, at=NOW)
    key = issue("Old", ca=True, at=NOW)
    _, key_file, _ = key.write(tmp_path, "old")
    _, root_key, root_file = root.write(tmp_path, "root")
    request = output("openssl", "req", "-new", "-key", key_file, "-subj", "/CN=Old")
    signer: list[str | Path] = ["-signkey", key_file] if selfsigned else ["-CA", root_file, "-CAkey", root_key]
    pem = output("openssl", "x509", "-req", "-days", "30", *signer, stdin=request)
    certificate = x509.load_pem_x509_certificate(pem)
    assert certificate.version is x509.Version.v1
    old = Issued(key.key, certificate, () if selfsigned else (root.der,))
    leaf = issue(HOST, old, at=NOW)
    chain = pki.chain_from_der(leaf.chain_der)
    record = TlsaRecord(2, 0, 1, hashlib.sha256((old if selfsigned else root).der).digest())
    with openssl_server(tmp_path, leaf) as address:
        assert openssl_accepts(address, record) is selfsigned
    assert dane.matches(record, chain, [HOST], datetime.now(UTC)) is selfsigned
