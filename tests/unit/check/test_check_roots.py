"""The CA certificates that a system trusts: from OpenSSL's file and from its folder."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chains import Issued, issue
from danelaw.check.roots import LARGEST, roots_in


def pem(*issued: Issued) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each.der).public_bytes(Encoding.PEM) for each in issued)


def test_those_of_the_file_and_of_the_folder_each_once(tmp_path: Path) -> None:
    one, two, three = (issue(name, ca=True) for name in ("One", "Two", "Three"))
    bundle, folder = tmp_path / "bundle.pem", tmp_path / "hashed"
    folder.mkdir()
    bundle.write_bytes(pem(one, two))
    (folder / "0123abcd.0").write_bytes(pem(two))
    (folder / "89efabcd.12").write_bytes(pem(three))
    (folder / "README").write_bytes(pem(issue("Four", ca=True)))
    assert roots_in(str(bundle), str(folder)) == (one.der, two.der, three.der)
    assert roots_in(None, str(folder)) == (two.der, three.der)


def test_what_cannot_be_used_hides_nothing_else(tmp_path: Path) -> None:
    good = issue("Good", ca=True)
    (tmp_path / "00000000.0").write_bytes(b"no certificate")
    (tmp_path / "00000001.0").write_bytes(pem(good) * (LARGEST // len(pem(good)) + 1))
    (tmp_path / "00000002.0").mkdir()
    (tmp_path / "00000003.0").write_bytes(pem(good))
    assert roots_in(str(tmp_path / "missing"), str(tmp_path)) == (good.der,)
    assert roots_in(None, str(tmp_path / "missing")) == ()
