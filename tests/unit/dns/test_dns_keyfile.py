import base64
from pathlib import Path

import pytest

from danelaw.dns.keyfile import load_tsig_key
from danelaw.dns.tsig import TsigKey
from danelaw.errors import InputError

OCTETS = b"the octets of a secret!!"
SECRET = base64.b64encode(OCTETS).decode()
NUMBERS = [
    (157, "HMAC_MD5", "hmac-md5"),
    (161, "HMAC_SHA1", "hmac-sha1"),
    (162, "HMAC_SHA224", "hmac-sha224"),
    (163, "HMAC_SHA256", "hmac-sha256"),
    (164, "HMAC_SHA384", "hmac-sha384"),
    (165, "HMAC_SHA512", "hmac-sha512"),
]


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def pair(folder: Path, number: int = 157, label: str = "HMAC_MD5", name: str = "example.org") -> Path:
    """Write a pair as dnssec-keygen did until BIND 9.13; return its base name."""
    base = folder / f"K{name}.+{number}+12345"
    write(folder / f"{base.name}.key", f"{name}. IN KEY 512 3 {number} {SECRET}\n")
    private = f"Private-key-format: v1.3\nAlgorithm: {number} ({label})\nKey: {SECRET}\nBits: AAA=\n"
    write(folder / f"{base.name}.private", f"{private}Created: 20121110120000\n")
    return base


def clause(folder: Path, text: str, mode: int = 0o600) -> str:
    return str(write(folder / "tsig.conf", text, mode))


def refused(path: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        load_tsig_key(str(path))
    said = str(caught.value)
    assert SECRET not in said
    assert len(said.splitlines()) == 1
    assert str(Path(path).name).removesuffix(".private").removesuffix(".key") in said
    return said


@pytest.mark.parametrize(("number", "label", "algorithm"), NUMBERS)
@pytest.mark.parametrize("suffix", ["", ".key", ".private"])
def test_pair_by_either_half_or_its_base_name(
    tmp_path: Path, number: int, label: str, algorithm: str, suffix: str
) -> None:
    base = pair(tmp_path, number, label)
    assert load_tsig_key(f"{base}{suffix}") == TsigKey("example.org.", algorithm, OCTETS)


def test_algorithm_comes_from_the_content_and_not_from_the_name(tmp_path: Path) -> None:
    base = pair(tmp_path, 165, "HMAC_SHA512")
    for suffix in (".key", ".private"):
        Path(f"{base}{suffix}").rename(tmp_path / f"Kexample.org.+157+12345{suffix}")
    assert load_tsig_key(str(tmp_path / "Kexample.org.+157+12345")).algorithm == "hmac-sha512"


def test_one_half_alone(tmp_path: Path) -> None:
    base = pair(tmp_path)
    key = load_tsig_key(str(base))
    Path(f"{base}.key").unlink()
    assert load_tsig_key(f"{base}.private") == load_tsig_key(str(base)) == load_tsig_key(f"{base}.key") == key
    base = pair(tmp_path)
    Path(f"{base}.private").unlink()
    assert load_tsig_key(f"{base}.key") == load_tsig_key(str(base)) == load_tsig_key(f"{base}.private") == key


def test_old_public_halves_in_all_their_forms(tmp_path: Path) -> None:
    half = tmp_path / "Kexample.org.+157+12345.key"
    head, tail = SECRET[:10], SECRET[10:]
    for text in (
        f"Example.Org. IN KEY 512 3 157 {head} {tail}\n",
        f"; made in 2009\nexample.org. 3600 IN KEY 512 3 157 {SECRET}",
        f"example.org.\tIN\tKEY\t512\t3\t157\t{SECRET}\n",
    ):
        assert load_tsig_key(str(write(half, text))) == TsigKey("example.org.", "hmac-md5", OCTETS)


def test_private_half_under_another_name_needs_the_name(tmp_path: Path) -> None:
    base = pair(tmp_path)
    moved = Path(f"{base}.private").rename(tmp_path / "moved.private")
    assert "K<name>.+NNN+NNNNN.private" in refused(moved)


COMMENTED = """// a comment with key "x" {
# another {
/* key "y" { }; */
key "example.org." {
\talgorithm hmac-sha256.;
\tsecret "%s"; // trailing
};
"""
AMONG_OTHERS = """options { default-key "example.org"; key { nested; }; };
key "example.org" { algorithm hmac-sha256; secret "%s"; };
server 192.0.2.1 { keys { example.org; }; };
"""


@pytest.mark.parametrize(
    "text",
    [
        'key "Example.ORG" { algorithm HMAC-SHA256; secret "%s"; };',
        'key example.org { secret %s; algorithm "hmac-sha256"; };',
        COMMENTED,
        AMONG_OTHERS,
    ],
)
def test_clause(tmp_path: Path, text: str) -> None:
    assert load_tsig_key(clause(tmp_path, text % SECRET)) == TsigKey("example.org.", "hmac-sha256", OCTETS)


@pytest.mark.parametrize(
    ("algorithm", "name", "bits"),
    [
        ("hmac-md5", "hmac-md5", None),
        ("hmac-md5.sig-alg.reg.int", "hmac-md5", None),
        ("HMAC-MD5.SIG-ALG.REG.INT.", "hmac-md5", None),
        ("hmac-sha1", "hmac-sha1", None),
        ("hmac-sha1-96", "hmac-sha1", 96),
        ("hmac-sha256-128", "hmac-sha256", 128),
        ("hmac-sha384-192", "hmac-sha384", 192),
        ("hmac-sha512-256", "hmac-sha512", 256),
        ("hmac-sha512-512", "hmac-sha512", None),
    ],
)
def test_algorithms_of_clauses(tmp_path: Path, algorithm: str, name: str, bits: int | None) -> None:
    key = load_tsig_key(clause(tmp_path, f'key k {{ algorithm {algorithm}; secret "{SECRET}"; }};'))
    assert (key.algorithm, key.mac_bits) == (name, bits)


K = f'key "a" {{ algorithm hmac-sha256; secret "{SECRET}"; }};'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found 0 (none)"),
        ("just some words\n", "found 0 (none)"),
        (K + K.replace('"a"', '"b"'), "found 2 (a, b)"),
        (K.replace(" secret", " # secret"), "missing"),
        ('key "a" { algorithm hmac-sha256; };', "one algorithm and one secret"),
        (f'key "a" {{ secret "{SECRET}"; }};', "one algorithm and one secret"),
        (K.replace("};", "algorithm hmac-md5; };"), "each once"),
        (K.replace("};", "colour red; };"), "nothing else"),
        (K.replace("; }", " }"), "semicolon is missing"),
        (K.replace("};", ""), "closing brace is missing"),
        (K + "}", "closing brace too many"),
        (K.replace(SECRET, "!not base64!"), "not base64"),
        (K.replace(SECRET, ""), "is empty"),
        (K.replace("hmac-sha256", "hmac-sha3"), "'hmac-sha3' is not known"),
        (K.replace("hmac-sha256", "hmac-sha256-64"), "128 to 256 bits"),
        (K.replace("hmac-sha256", "hmac-sha256-129"), "128 to 256 bits"),
        (K.replace('"a"', '"a..b"'), "no DNS name"),
        (K.replace('"a"', '"a'), "syntax"),
        ("\0\1\2", "found 0"),
    ],
)
def test_clause_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(clause(tmp_path, text))


def test_dnssec_key_is_none(tmp_path: Path) -> None:
    half = write(
        tmp_path / "Kexample.org.+013+12345.private",
        "Private-key-format: v1.3\nAlgorithm: 13 (ECDSA)\nPrivateKey: x=\n",
    )
    assert "no TSIG key" in refused(half)
    half.write_text(f"Private-key-format: v1.3\nAlgorithm: 8 (RSASHA256)\nKey: {SECRET}\n")
    assert "algorithm '8' is none of TSIG's" in refused(half)


def test_missing_file(tmp_path: Path) -> None:
    assert "no such TSIG key" in refused(tmp_path / "nothing")
    assert "no such TSIG key" in refused(tmp_path / "Kexample.org.+157+12345.private")
    assert refused(tmp_path)


def test_binary_and_endless_files(tmp_path: Path) -> None:
    (tmp_path / "tsig.conf").write_bytes(b"\xff\xfe\0")
    (tmp_path / "tsig.conf").chmod(0o600)
    assert "not a text file" in refused(tmp_path / "tsig.conf")
    assert "too long" in refused(clause(tmp_path, "#" * 70000))
    assert refused("/dev/zero")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666])
def test_file_open_to_everybody_is_refused_with_the_chmod(tmp_path: Path, mode: int) -> None:
    path = clause(tmp_path, K, mode)
    assert f"(mode 0{mode:o}); chmod o-rwx {path}" in refused(path)
    Path(path).chmod(0o640)
    assert load_tsig_key(path).name == "a."


@pytest.mark.parametrize("half", [".key", ".private"])
@pytest.mark.parametrize("asked", ["", ".key", ".private"])
def test_each_half_of_a_pair_holds_the_secret_and_must_be_private(tmp_path: Path, half: str, asked: str) -> None:
    base = pair(tmp_path)
    Path(f"{base}{half}").chmod(0o644)
    assert "chmod o-rwx" in refused(f"{base}{asked}")
