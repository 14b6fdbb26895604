"""`danelaw match`: what is read, what is said of each record, and how it ends."""

import hashlib
import io
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chains import HOST, Issued, issue, three
from danelaw import pki
from danelaw.cli.arguments import parser
from danelaw.cli.match import match
from danelaw.errors import InputError

LEAF, INTERMEDIATE, ROOT = three()
AT = ("--at", "2026-06-01")
LATE = ("--at", "2026-09-01T12:00:00+02:00")
NAMED = ("--name", HOST)


def pin(usage: int, selector: int, matching_type: int, of: Issued) -> str:
    part = of.der if selector == 0 else of.spki_der
    data = {0: part, 1: hashlib.sha256(part).digest(), 2: hashlib.sha512(part).digest()}[matching_type]
    return f"{usage} {selector} {matching_type} {data.hex()}"


EE, TA, STALE = pin(3, 1, 1, LEAF), pin(2, 0, 1, ROOT), pin(3, 1, 1, issue(HOST))
PKIX_EE, PKIX_TA = pin(1, 1, 1, LEAF), pin(0, 0, 1, ROOT)


class Said:
    """What a run printed, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def marks(self) -> list[str]:
        """The word before each record."""
        return [line[:9].strip() for line in self.out.splitlines()[:-1]]


class Runs:
    """Runs the command here, in a folder that has ``chain.pem``."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *records: str, chain: str = "chain.pem", options: tuple[str, ...] = (*AT, *NAMED)) -> Said:
        before = [word for word in options if word in {"--json", "-q"}]
        after = [word for word in options if word not in before]
        tlsa = [word for record in records for word in ("--tlsa", record)]
        status = match(parser().parse_args([*before, "match", chain, *tlsa, *after]))
        return Said(status, *self._captured.readouterr())

    def refused(self, *records: str, chain: str = "chain.pem", options: tuple[str, ...] = ()) -> str:
        """Return the words of a refusal, before which nothing was printed."""
        with pytest.raises(InputError) as refusal:
            self(*records, chain=chain, options=options)
        assert self._captured.readouterr() == ("", "")
        return str(refusal.value)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.chdir(tmp_path)
    Path("chain.pem").write_bytes(pems(LEAF, INTERMEDIATE, ROOT))
    Path("roots.pem").write_bytes(pems(issue("Another", ca=True), ROOT))
    return Runs(capsys)


def pems(*certificates: Issued) -> bytes:
    return b"".join(pki.cert_pem(each.der).encode() for each in certificates)


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_a_chain_that_matches(run: Runs) -> None:
    said = run(EE, TA, STALE)
    assert said.status == 0
    assert said.marks == ["matches", "matches", "differs"]
    first, second, third, verdict = said.out.splitlines()
    assert first.endswith(f"  pins the key of certificate 0, CN={HOST}")
    assert second.endswith("  pins certificate 2, CN=Root")
    assert third.endswith("  pins another key")
    assert verdict == "The chain matches: clients that obey DANE accept it."
    assert said.err == ""


def test_a_chain_that_does_not_match(run: Runs) -> None:
    said = run(STALE)
    assert (said.status, said.marks) == (1, ["differs"])
    assert said.out.endswith("The chain does not match: clients that obey DANE refuse it.\n")


def test_no_record_that_can_be_used(run: Runs) -> None:
    said = run("3 1 1 abcd")
    assert (said.status, said.marks) == (3, ["unusable"])
    assert "digest of 2 octets, SHA-256 has 32" in said.out
    assert "No record is usable: clients do what they do without DANE" in said.out
    mail = run(PKIX_EE, PKIX_TA, options=("--port", "25"))
    assert (mail.status, mail.marks) == (3, ["unusable"] * 2)
    assert "senders encrypt and do not authenticate (RFC 7672 section 2.2)" in mail.out


def test_a_stronger_digest_beside_it_sets_a_record_aside(run: Runs) -> None:
    said = run(EE, pin(3, 1, 2, issue(HOST)))
    assert (said.status, said.marks) == (1, ["set aside", "differs"])
    assert run(EE, pin(3, 1, 2, LEAF)).status == 0


def test_names_and_dates_count_for_the_usages_that_ask_for_them(run: Runs) -> None:
    assert run(TA, options=(*AT, *NAMED)).status == 0
    assert run(TA, options=(*AT, "--name", "other.example.com", *NAMED)).status == 0
    elsewhere = run(TA, options=(*AT, "--name", "other.example.com"))
    assert elsewhere.status == 1
    assert f"the certificate is for {HOST}, not for other.example.com (pins certificate 2, CN=Root)" in elsewhere.out
    late = run(TA, options=(*LATE, *NAMED))
    assert late.status == 1
    assert "expired on 2026-07-01" in late.out
    for options in ((*LATE, *NAMED), (*AT, "--name", "other.example.com")):
        assert run(EE, options=options).status == 0  # RFC 7671 section 5.1


def test_now_is_now(run: Runs) -> None:
    now = datetime.now(UTC)
    root = issue("Root", ca=True, at=now)
    Path("fresh.pem").write_bytes(pems(issue(HOST, root, at=now), root))
    old = issue("Root", ca=True, at=now - timedelta(days=99))
    Path("old.pem").write_bytes(pems(issue(HOST, old, at=now), old))
    assert run(pin(2, 0, 1, root), chain="fresh.pem", options=NAMED).status == 0
    assert run(pin(2, 0, 1, old), chain="old.pem", options=NAMED).status == 1


def test_the_names_that_are_not_asked_for_are_missed(run: Runs) -> None:
    said = run(TA, options=AT)
    assert said.status == 0
    assert said.err == (
        "danelaw: note: usages 0, 1 and 2 ask for the server's name, too, and none was given (--name HOST)\n"
    )
    assert run(EE, options=AT).err == ""
    assert run(PKIX_TA, EE, options=(*AT, "--port", "25")).err == ""  # unusable there, so nothing is asked


def test_a_chain_that_does_not_start_with_the_leaf_is_noted(run: Runs) -> None:
    Path("backwards.pem").write_bytes(pems(ROOT, INTERMEDIATE, LEAF))
    said = run(EE, chain="backwards.pem")
    assert said.status == 1
    assert "the first certificate issued another one of the chain" in said.err


# --- trust ----------------------------------------------------------------------------------------------------------


def test_usages_0_and_1_are_held_against_the_trusted_cas_of_a_file(run: Runs) -> None:
    trusted = run(PKIX_EE, PKIX_TA, options=(*AT, *NAMED, "--trust", "roots.pem"))
    assert (trusted.status, trusted.marks) == (0, ["matches"] * 2)
    Path("others.pem").write_bytes(pems(issue("Root", ca=True)))
    other = run(PKIX_EE, PKIX_TA, options=(*AT, *NAMED, "--trust", "others.pem"))
    assert (other.status, other.marks) == (1, ["differs"] * 2)
    Path("short.pem").write_bytes(pems(LEAF, INTERMEDIATE))
    unpresented = run(PKIX_TA, chain="short.pem", options=(*AT, *NAMED, "--trust", "roots.pem"))
    assert unpresented.out.startswith(f"matches   {PKIX_TA[:22]}…  pins a trusted CA, CN=Root\n")


def test_without_a_file_the_system_is_asked(run: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(PKIX_EE).status == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    assert run(PKIX_EE).status == 0
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / "0123abcd.0").write_bytes(pems(ROOT))
    (folder / "0123abcd.1").write_bytes(b"rubbish")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert run(PKIX_EE).status == 0
    (folder / "0123abcd.0").rename(folder / "root.pem")  # no name that OpenSSL looks for
    said = run(PKIX_EE)
    assert said.status == 1
    assert "no trusted CAs were given" in said.out
    assert "this system has no trusted CA certificates" in said.err


# --- sources --------------------------------------------------------------------------------------------------------


def test_a_chain_is_read_as_it_stands_in_pem_or_der(run: Runs) -> None:
    Path("one.der").write_bytes(LEAF.der)
    Path("all.der").write_bytes(LEAF.der + INTERMEDIATE.der + ROOT.der)
    Path("combined.pem").write_bytes(LEAF.key_pem + b"words\n" + pems(LEAF, INTERMEDIATE, ROOT))
    assert run(EE, chain="one.der").status == 0
    assert run(TA, chain="one.der").status == 1
    assert run(EE, TA, chain="all.der").marks == ["matches"] * 2
    assert run(EE, TA, chain="combined.pem").marks == ["matches"] * 2


def test_a_record_may_be_a_whole_line(run: Runs) -> None:
    for line in (f"_25._tcp.{HOST}. 3600 IN TLSA {EE}", f"_25._tcp.{HOST}. TLSA {EE}", f"  {EE}  "):
        assert run(line).status == 0


def test_standard_input_is_read() -> None:
    argv = [sys.executable, "-m", "danelaw", "match", "-", "--tlsa", EE]
    done = subprocess.run(argv, input=pems(LEAF), capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().startswith("matches ")


@pytest.mark.parametrize(
    ("records", "options", "says"),
    [
        (["3 1 1"], (), "--tlsa: found '3 1 1'; expected a TLSA record"),
        (["3 1 1 xyz"], (), "--tlsa: found '3 1 1 xyz'"),
        ([EE], ("--name", "a..b"), '--name: "a..b" has an empty label'),
        ([EE], ("--name", "192.0.2.1"), "--name: "),
        ([EE], ("--at", "yesterday"), "--at: found 'yesterday'; expected an instant as 2026-12-31T12:00:00Z or a date"),
        ([EE], ("--at", "9999-12-31T23:59:59-14:00"), "--at: "),
        ([EE], ("--port", "0"), "--port: 0 is no port"),
        ([EE], ("--trust", "none.pem"), "--trust: none.pem: No such file"),
        ([EE], ("--trust", "key.pem"), "--trust: found no -----BEGIN CERTIFICATE-----"),
    ],
)
def test_what_cannot_be_used_is_refused(run: Runs, records: list[str], options: tuple[str, ...], says: str) -> None:
    Path("key.pem").write_bytes(LEAF.key_pem)
    assert run.refused(*records, options=options).startswith(says)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "chain.pem: found nothing in it"),
        (b"rubbish", "chain.pem: found neither PEM nor DER"),
        (LEAF.spki_der, "chain.pem: found neither PEM nor DER of certificates"),
        (LEAF.key_pem, "chain.pem: found no -----BEGIN CERTIFICATE-----"),
        (pems(LEAF)[:200], "chain.pem: found a PEM block that is cut off"),
        (pems(LEAF) * 101, "chain.pem: found 101 certificates; expected a chain of 100 at most"),
    ],
)
def test_what_is_no_chain_is_refused(run: Runs, data: bytes, says: str) -> None:
    Path("chain.pem").write_bytes(data)
    assert run.refused(EE).startswith(says)


def test_a_missing_file_and_missing_records(run: Runs) -> None:
    assert run.refused(EE, chain="none.pem").startswith("none.pem: No such file or directory")
    with pytest.raises(SystemExit) as usage:
        run()
    assert usage.value.code == 2


# --- forms ----------------------------------------------------------------------------------------------------------


def test_json(run: Runs) -> None:
    said = run(EE, STALE, TA, "4 1 1 00", options=("--json", *AT, *NAMED, "--port", "25"))
    assert said.status == 0
    value = json.load(io.StringIO(said.out))
    assert list(value) == ["schema", "verdict", "at", "names", "port", "trusted", "certificates", "records", "notes"]
    assert (value["schema"], value["verdict"], value["port"], value["trusted"]) == (1, "matches", 25, None)
    assert (value["at"], value["names"], value["notes"]) == ("2026-06-01T00:00:00Z", [HOST], [])
    assert [each["subject"] for each in value["certificates"]] == [f"CN={HOST}", "CN=Intermediate", "CN=Root"]
    assert value["certificates"][0] == {
        "depth": 0,
        "subject": f"CN={HOST}",
        "sha256": hashlib.sha256(LEAF.der).hexdigest(),
        "not_before": "2026-05-31T12:00:00Z",
        "not_after": "2026-07-01T12:00:00Z",
    }
    matched, stale, _, unknown = value["records"]
    assert matched == {
        "record": EE,
        "usage": 3,
        "selector": 1,
        "matching_type": 1,
        "data": EE.split()[3],
        "usable": True,
        "counts": True,
        "matches": True,
        "depth": 0,
        "pins": f"the key of certificate 0, CN={HOST}",
        "why": None,
    }
    assert (stale["matches"], stale["depth"], stale["pins"], stale["why"]) == (False, None, None, "pins another key")
    assert (unknown["usable"], unknown["why"]) == (False, "usage 4 is not known")


def test_json_of_the_other_verdicts(run: Runs) -> None:
    assert json.loads(run(STALE, options=("--json", *AT)).out)["verdict"] == "no-match"
    none = json.loads(run(PKIX_EE, options=("--json", *AT, "--port", "25")).out)
    assert (none["verdict"], none["trusted"]) == ("unusable", None)
    trusted = json.loads(run(PKIX_EE, options=("--json", *AT, "--trust", "roots.pem")).out)
    assert (trusted["verdict"], trusted["trusted"], trusted["notes"][0]["note"]) == ("matches", 2, "names")


def test_quiet_says_only_what_does_not_match(run: Runs) -> None:
    good = run(EE, TA, options=("-q", *AT))
    assert (good.status, good.out, good.err) == (0, "", "")
    bad = run(STALE, options=("-q", *AT))
    assert bad.status == 1
    assert "pins another key" in bad.out
