"""Our records beside those of openssl, danetool and ldns-dane, and our verdicts beside OpenSSL's."""

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from chains import HOST, Issued, issue, p256, rsa2048
from danelaw import dane, pki
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


@pytest.mark.parametrize("key_type", ["p256", "rsa2048"])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_openssl_computes_the_same_data(spec: RecordSpec, key_type: str, tmp_path: Path) -> None:
    leaf, intermediate, _ = made(key_type)
    _, _, pinned = (leaf if spec.usage in {1, 3} else intermediate).write(tmp_path, "pinned")
    record = dane.tlsa_record(spec, pki.chain_from_der(leaf.chain_der))
    assert record.data == by_openssl(pinned, spec.selector, spec.matching_type)


@pytest.mark.parametrize("key_type", ["p256", "rsa2048"])
@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.matching_type], ids=str)
def test_danetool_makes_the_same_record(spec: RecordSpec, key_type: str, tmp_path: Path) -> None:
    leaf, intermediate, _ = made(key_type)
    _, _, pinned = (leaf if spec.usage in {1, 3} else intermediate).write(tmp_path, "pinned")
    assert dane.tlsa_record(spec, pki.chain_from_der(leaf.chain_der)) == by_danetool(pinned, spec)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_ldns_dane_makes_the_same_record(spec: RecordSpec, tmp_path: Path) -> None:
    leaf, _, root = made("p256")
    chain, _, _ = leaf.write(tmp_path, "leaf")
    _, _, trusted = root.write(tmp_path, "root")
    # -c takes the chain from a file, so that nobody is asked for anything; -o counts from the chain's end.
    options: list[str | Path] = ["-n", "-c", chain, "-f", trusted, *(["-o", "1"] if spec.usage in {0, 2} else [])]
    line = output("ldns-dane", *options, "create", HOST, "25", *map(str, spec))
    assert dane.parse_record(in_tlsa(line.decode())) == dane.tlsa_record(spec, pki.chain_from_der(leaf.chain_der))


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
