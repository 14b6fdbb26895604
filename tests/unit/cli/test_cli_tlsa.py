"""`danelaw tlsa` of files: what is read, which certificate is pinned, and the forms in which records are printed."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from chains import HOST, Issued, issue, p256, rsa2048, spki, three
from danelaw import pki
from danelaw.cli.arguments import parser
from danelaw.cli.tlsa import tlsa
from danelaw.errors import InputError

OWNER = f"_25._tcp.{HOST}."
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
LEAF, INTERMEDIATE, ROOT = three()


class Said:
    """What a run printed, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Runs:
    """Runs the command here, in a folder where names of files are short."""

    def __init__(self, folder: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.folder, self._captured = folder, captured

    def __call__(self, *arguments: str) -> Said:
        before, words = [], list(arguments)
        while words and words[0] in {"--json", "-q"}:
            before.append(words.pop(0))
        status = tlsa(parser().parse_args([*before, "tlsa", *words]))
        return Said(status, *self._captured.readouterr())

    def refused(self, *arguments: str) -> str:
        """Return the words of a refusal, before which nothing was printed."""
        with pytest.raises(InputError) as refusal:
            self(*arguments)
        assert self._captured.readouterr().out == ""
        return str(refusal.value)

    def file(self, name: str, *parts: bytes) -> str:
        (self.folder / name).write_bytes(b"".join(parts))
        return name


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.chdir(tmp_path)
    return Runs(tmp_path, capsys)


def pems(*certificates: Issued) -> bytes:
    return b"".join(pki.cert_pem(each.der).encode() for each in certificates)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- sources ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_source_gives_the_record_of_its_key(run: Runs) -> None:
    name = x509.Name([])
    key = LEAF.key
    assert not isinstance(key, ed25519.Ed25519PrivateKey)
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    public = key.public_key()
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    contents = {
        "certificate.pem": pems(LEAF),
        "certificate.der": LEAF.der,
        "chain.pem": pems(LEAF, INTERMEDIATE, ROOT),
        "backwards.pem": pems(ROOT, INTERMEDIATE, LEAF),
        "combined.pem": LEAF.key_pem + pems(LEAF, INTERMEDIATE),
        "csr.pem": csr.public_bytes(PEM),
        "csr.der": csr.public_bytes(DER),
        "public.pem": public.public_bytes(PEM, info),
        "public.der": public.public_bytes(DER, info),
        "key.pem": LEAF.key_pem,
        "key.der": key.private_bytes(DER, pkcs8, plain),
    }
    for file, data in contents.items():
        said = run(run.file(file, data))
        assert (said.status, said.out, said.err) == (0, f"3 1 1 {sha256(LEAF.spki_der)}\n", ""), file
    together = run("--json", *contents)
    (record,) = json.loads(together.out)["records"]
    assert record["sources"] == list(contents)  # one record, whatever it was made of


def test_ed25519_has_its_record_too(run: Runs) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    said = run(run.file("cert.pem", pems(issue(HOST, key=key))))
    assert said.out == f"3 1 1 {sha256(spki(key))}\n"


def test_several_sources_give_their_records_in_order_each_once(run: Runs) -> None:
    other = issue(HOST)
    files = [run.file("one.pem", pems(LEAF)), run.file("two.pem", pems(other)), run.file("key.pem", LEAF.key_pem)]
    assert run(*files).lines == [f"3 1 1 {sha256(each.spki_der)}" for each in (LEAF, other)]
    assert run(*files, "--record", "3 1 1", "--record", "3 1 1").lines == run(*files).lines


def test_a_file_that_is_named_like_an_endpoint_is_a_file(run: Runs) -> None:
    file = run.file("mail.example.org:25", pems(LEAF))
    assert run(file).out == f"3 1 1 {sha256(LEAF.spki_der)}\n"


def test_a_file_of_two_identities_gives_the_records_of_both(run: Runs) -> None:
    """As Postfix's smtpd_tls_chain_files has them: key, certificate, chain, and again."""
    rsa = issue(HOST, INTERMEDIATE, key=rsa2048())
    parts = [rsa.key_pem, pems(rsa, INTERMEDIATE), LEAF.key_pem, pems(LEAF, INTERMEDIATE)]
    said = run(run.file("both.pem", *parts), "--record", "3 1 1", "--record", "2 0 1")
    assert sorted(said.lines) == sorted(
        [f"3 1 1 {sha256(each.spki_der)}" for each in (rsa, LEAF)] + [f"2 0 1 {sha256(INTERMEDIATE.der)}"]
    )
    assert "holds 2 certificates" in said.err
    assert said.err.count("2 0 1 pins the CA certificate CN=Intermediate") == 1  # of both
    assert "holds" not in run(run.file("one.pem", pems(LEAF, INTERMEDIATE))).err


def test_text_around_a_certificate_does_no_harm(run: Runs) -> None:
    plain = run.file("plain.pem", pems(LEAF))
    variants = [
        b"\xef\xbb\xbf" + pems(LEAF),  # a byte order mark
        pems(LEAF).replace(b"\n", b"\r\n"),
        b"Bag Attributes\n    friendlyName: mail\n" + pems(LEAF) + b"\nmore words",
        openssl("x509", "-in", plain, "-text"),
        openssl("x509", "-in", plain, "-trustout", "-addtrust", "serverAuth"),  # BEGIN TRUSTED CERTIFICATE
        pems(LEAF).replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
    ]
    for data in variants:
        assert run(run.file("variant.pem", data), "--record", "3 0 1").out == f"3 0 1 {sha256(LEAF.der)}\n"
    cut = pems(LEAF).replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE").splitlines()
    words = run.refused(run.file("cut.pem", b"\n".join([cut[0], cut[1], cut[-1]])))
    assert "cut.pem: found something that is not a certificate" in words


def test_standard_input_is_read() -> None:
    argv = [sys.executable, "-m", "danelaw", "tlsa", "-", "--record", "3 0 2"]
    done = subprocess.run(argv, input=pems(ROOT, LEAF), capture_output=True, check=True, timeout=60)
    assert done.stdout.decode() == f"3 0 2 {hashlib.sha512(LEAF.der).hexdigest()}\n"


def encrypted(password: bytes, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> bytes:
    assert not isinstance(LEAF.key, ed25519.Ed25519PrivateKey)
    return LEAF.key.private_bytes(PEM, form, serialization.BestAvailableEncryption(password))


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_opened_by_its_password_alone(run: Runs, form: serialization.PrivateFormat) -> None:
    key = run.file("key.pem", encrypted(b"open sesame", form))
    for line in (b"open sesame", b"open sesame\n", b"open sesame\r\nanother\n"):
        said = run(key, "--password-file", run.file("password", line))
        assert said.out == f"3 1 1 {sha256(LEAF.spki_der)}\n"
    assert "encrypted; give its password" in run.refused(key)
    assert "--password-file" in run.refused(key)
    wrong = run.refused(key, "--password-file", run.file("password", b"open barley\n"))
    assert "the password given does not open" in wrong
    assert "barley" not in wrong
    assert "first line is empty" in run.refused(key, "--password-file", run.file("password", b"\n"))
    assert "nowhere: No such file" in run.refused(key, "--password-file", "nowhere")


def openssl(*argv: str) -> bytes:
    return subprocess.run(["openssl", *argv], capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    "argv",
    [
        ["genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-out"],
        ["ecparam", "-name", "prime256v1", "-genkey", "-param_enc", "explicit", "-noout", "-out"],
    ],
    ids=["RSASSA-PSS", "explicit curve"],
)
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_a_key_that_would_be_taken_for_a_simpler_one_is_refused_and_its_public_half_is_not(
    run: Runs, argv: list[str], form: str
) -> None:
    """Their SPKI is not that of the plain key over the same numbers: the digest would be another one."""
    openssl(*argv, "made.pem")
    openssl("pkey", "-in", "made.pem", "-outform", form, "-out", "key")
    assert "openssl pkey -pubout" in run.refused("key")
    public = openssl("pkey", "-in", "key", "-inform", form, "-pubout", "-outform", "DER")
    assert run(run.file("public", public)).out == f"3 1 1 {sha256(public)}\n"


def test_a_password_that_would_be_tried_for_hours_is_refused(run: Runs) -> None:
    run.file("plain.pem", LEAF.key_pem)
    made = openssl("pkcs8", "-topk8", "-in", "plain.pem", "-outform", "DER", "-scrypt", "-passout", "pass:x")
    endless = made.replace(bytes.fromhex("020108020101"), bytes.fromhex("02017f02017f"))  # scrypt's r and p
    assert endless != made
    password = run.file("password", b"x")
    assert run(run.file("made.der", made), "--password-file", password).out == f"3 1 1 {sha256(LEAF.spki_der)}\n"
    assert "hours" in run.refused(run.file("endless.der", endless), "--password-file", password)


def test_a_password_that_is_not_needed_does_no_harm(run: Runs) -> None:
    key, password = run.file("key.pem", LEAF.key_pem), run.file("password", b"x")
    assert run(key, "--password-file", password).out == run(key).out


def test_no_private_key_is_ever_shown(run: Runs) -> None:
    secret = LEAF.key_pem.splitlines()[1].decode()[8:40]
    key = run.file("key.pem", LEAF.key_pem)
    for arguments in ([key], ["--json", key], [key, "--record", "3 1 0"]):
        said = run(*arguments)
        assert secret not in said.out + said.err
    broken = run.file("broken.pem", LEAF.key_pem.replace(secret.encode(), secret[::-1].encode()))
    assert secret not in run.refused(broken)
    assert secret not in run.refused(key, "--record", "3 0 1")


# --- which certificate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", [0, 2])
@pytest.mark.parametrize(
    ("ta", "pinned"), [((), ROOT), (("--ta", "1"), INTERMEDIATE), (("--ta", "2"), ROOT)], ids=["top", "1", "2"]
)
def test_usages_0_and_2_pin_a_ca_certificate_that_the_leaf_chains_up_to(
    run: Runs, usage: int, ta: Sequence[str], pinned: Issued
) -> None:
    stranger = issue("Stranger", ca=True)
    for order in ([LEAF, INTERMEDIATE, ROOT], [stranger, ROOT, LEAF, INTERMEDIATE]):
        said = run(run.file("chain.pem", pems(*order)), "--record", f"{usage} 0 1", *ta)
        assert said.out == f"{usage} 0 1 {sha256(pinned.der)}\n"
        subject = pki.subject_text(pinned.der)
        assert f"pins the CA certificate {subject}, number {2 if pinned is ROOT else 1} of 2" in said.err
    served = run(run.file("served.pem", pems(LEAF, INTERMEDIATE)), "--record", f"{usage} 1 1")
    assert served.out == f"{usage} 1 1 {sha256(INTERMEDIATE.spki_der)}\n"
    assert "pins the key of the CA certificate CN=Intermediate" in served.err
    assert ("must present it" in served.err) == (usage == 2)


def test_a_ca_certificate_by_itself_is_pinned_with_a_word_about_it(run: Runs) -> None:
    said = run(run.file("ca.pem", pems(ROOT)), "--record", "2 0 1")
    assert said.out == f"2 0 1 {sha256(ROOT.der)}\n"
    assert "as its own certificate, take usage 3" in said.err
    assert run("-q", "ca.pem", "--record", "2 0 1").err == ""


def test_of_cas_alone_the_lowest_is_the_leaf(run: Runs) -> None:
    file = run.file("cas.pem", pems(ROOT, INTERMEDIATE))
    assert run(file, "--record", "3 0 1").out == f"3 0 1 {sha256(INTERMEDIATE.der)}\n"
    assert run(file, "--record", "2 0 1", "--ta", "1").out == f"2 0 1 {sha256(INTERMEDIATE.der)}\n"


def test_every_ca_of_a_file_of_cas_is_pinned(run: Runs) -> None:
    """Let's Encrypt's intermediates: published are all of them or none."""
    cas = [issue(f"YE{number}", ROOT, ca=True) for number in (1, 2)]
    said = run(run.file("cas.pem", pems(*cas)), "--record", "2 1 1")
    assert said.lines == [f"2 1 1 {sha256(each.spki_der)}" for each in cas]
    assert "holds 2 certificates" in said.err


def test_two_certificates_that_one_key_signed_for_itself_are_two(run: Runs) -> None:
    key = p256()
    renewed = [issue(HOST, key=key), issue(HOST, key=key)]
    assert run(run.file("renewed.pem", pems(*renewed)), "--record", "3 0 1").lines == [
        f"3 0 1 {sha256(each.der)}" for each in renewed
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["leaf.pem", "--record", "2 0 1"], "leaf.pem (certificate): a TLSA record 2 0 1 (usage 2) pins a CA"),
        (["stranger.pem", "--record", "0 1 1"], "found none among the 2 given: add it to the chain"),
        (
            ["key.pem", "--record", "3 0 1"],
            "key.pem (private key): a TLSA record 3 0 1 (selector 0) is made of a whole",
        ),
        (["key.pem", "--record", "2 1 1"], "(usage 2) is made of a CA's certificate; found only a key"),
        (["csr.pem", "--record", "1 0 2"], "csr.pem (CSR): a TLSA record 1 0 2 (selector 0)"),
        (["chain.pem", "--record", "2 0 1", "--ta", "3"], "no CA certificate number 3; the leaf chains up to 1 CN=Int"),
        (["chain.pem", "--ta", "1"], "--ta chooses the CA certificate of usages 0 and 2"),
        (["chain.pem", "--record", "4 1 1"], "found TLSA parameters '4 1 1'"),
        (["chain.pem", "--record", "311"], "found TLSA parameters '311'"),
        (["chain.pem", "--ttl", "-1"], "--ttl: -1 is no TTL; expected seconds from 0 to 2147483647"),
        (["chain.pem", "--ttl", "2147483648"], "--ttl: 2147483648"),
        (["chain.pem", "--endpoint", "mail.example.org"], '--endpoint: "mail.example.org" has no port'),
        (["chain.pem", "--endpoint", "[::1]:25"], "--endpoint: ::1 is an address, and TLSA records stand below names"),
        (["chain.pem", "--endpoint", f"{'a.' * 125}org:25"], "longer than DNS names can be"),
        (["chain.pem", "--format", "nsupdate"], "needs the owner name of the records; add --endpoint"),
        (["--json", "chain.pem", "--format", "zone"], "contradict each other"),
        (["chain.pem", "--protocol", "smtp"], "--protocol is for a live HOST:PORT"),
        (["chain.pem", "--name", HOST], "--name is for a live HOST:PORT"),
        (["nothing.pem"], "nothing.pem: No such file or directory; give a PEM or DER file, - for standard input, or"),
        (["./mail.example.org:25"], "./mail.example.org:25: No such file"),
        (["."], ".: Is a directory"),
        (["mail.example.org:99999"], "mail.example.org:99999: no such file, and no HOST:PORT: "),
        (["mail.example.org:2525"], "port 2525 does not say how TLS starts there; add --protocol with tls"),
        (["192.0.2.1:25", "--name", "192.0.2.1"], '--name: "192.0.2.1" is an IP address'),
        (["all.p12"], "all.p12: found PKCS#12; turn it into PEM: openssl pkcs12"),
        (["all.p7b"], "all.p7b: found PKCS#7; turn it into PEM: openssl pkcs7"),
        (["all.p7c"], "all.p7c: found PKCS#7"),
        (["empty"], "empty: found nothing in it"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run: Runs, arguments: list[str], says: str) -> None:
    assert not isinstance(LEAF.key, ed25519.Ed25519PrivateKey)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(LEAF.key, hashes.SHA256())
    run.file("leaf.pem", pems(LEAF))
    run.file("stranger.pem", pems(LEAF, ROOT))
    run.file("chain.pem", pems(LEAF, INTERMEDIATE, ROOT))
    run.file("key.pem", LEAF.key_pem)
    run.file("csr.pem", csr.public_bytes(PEM))
    run.file("all.p12", pkcs12.serialize_key_and_certificates(b"x", p256(), None, None, serialization.NoEncryption()))
    run.file("all.p7b", pkcs7.serialize_certificates([LEAF.certificate], DER))
    run.file("all.p7c", pkcs7.serialize_certificates([LEAF.certificate], PEM))
    run.file("empty")
    words = run.refused(*arguments)
    assert says in words
    assert len(words.splitlines()) == 1


# --- forms -----------------------------------------------------------------------------------------------------------


def test_the_owner_name_is_made_of_a_labels(run: Runs) -> None:
    file = run.file("cert.pem", pems(LEAF))
    said = run(file, "--endpoint", "Mail.MÜNCHEN.example.:25", "--ttl", "1800")
    assert said.out == f"_25._tcp.mail.xn--mnchen-3ya.example. 1800 IN TLSA 3 1 1 {sha256(LEAF.spki_der)}\n"


def test_the_generic_form_is_that_of_rfc_3597(run: Runs) -> None:
    file = run.file("cert.pem", pems(LEAF))
    data = f"\\# 35 030101{sha256(LEAF.spki_der)}"
    said = run(file, "--endpoint", f"{HOST}:25", "--format", "generic")
    assert said.out == f"{OWNER} 3600 IN TYPE52 {data}\n"
    assert run(file, "--format", "generic").out == f"{data}\n"


def test_the_script_for_nsupdate_only_adds(run: Runs) -> None:
    file = run.file("chain.pem", pems(LEAF, INTERMEDIATE))
    specs = ["--record", "3 1 1", "--record", "2 0 1"]
    script = run(file, *specs, "--endpoint", f"{HOST}:25", "--ttl", "60", "--format", "nsupdate")
    assert [line for line in script.lines if not line.startswith(";")] == [
        f"prereq nxrrset {OWNER} IN CNAME",
        f"update add {OWNER} 60 IN TLSA 3 1 1 {sha256(LEAF.spki_der)}",
        f"update add {OWNER} 60 IN TLSA 2 0 1 {sha256(INTERMEDIATE.der)}",
        "send",
    ]


def test_json_says_all_there_is(run: Runs) -> None:
    file = run.file("chain.pem", pems(LEAF, INTERMEDIATE))
    arguments = [file, "--record", "1 1 1", "--endpoint", f"{HOST}:25"]
    said = run("--json", *arguments)
    data = sha256(LEAF.spki_der)
    assert json.loads(said.out) == {
        "schema": 1,
        "records": [
            {
                "owner": OWNER,
                "ttl": 3600,
                "usage": 1,
                "selector": 1,
                "matching_type": 1,
                "data": data,
                "record": f"1 1 1 {data}",
                "generic": f"\\# 35 010101{data}",
                "subject": f"CN={HOST}",
                "sources": ["chain.pem"],
            }
        ],
        "presented": [],
        "notes": [
            {
                "note": "usage",
                "subject": OWNER,
                "text": "usage 1 is not for port 25: senders of mail may ignore it (RFC 7672 section 3.1.3); use 3 1 1",
            }
        ],
        "problems": [],
    }
    assert run(*arguments, "--format", "json").out == said.out
    (bare,) = json.loads(run("--json", run.file("key.pem", LEAF.key_pem)).out)["records"]
    assert (bare["owner"], bare["subject"]) == (None, None)


@pytest.mark.parametrize(
    ("endpoint", "usage", "warned"),
    [(f"{HOST}:25", 0, True), (f"{HOST}:25", 1, True), (f"{HOST}:25", 3, False), (f"{HOST}:443", 1, False)],
)
def test_usages_that_port_25_does_not_have_are_warned_of(run: Runs, endpoint: str, usage: int, warned: bool) -> None:  # noqa: FBT001  (the table's)
    said = run(
        run.file("chain.pem", pems(LEAF, ROOT, INTERMEDIATE)), "--record", f"{usage} 1 1", "--endpoint", endpoint
    )
    assert said.status == 0
    assert ("danelaw: warning: usage" in said.err) == warned


def test_a_certificate_without_a_subject_is_known_by_its_names(run: Runs) -> None:
    """As Let's Encrypt's are, outside its classic profile."""
    argv = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem"]
    openssl(*argv, "-subj", "/", "-addext", f"subjectAltName=DNS:{HOST},DNS:www.example.org", "-out", "cert.pem")
    for specs in (["3 0 1"], ["2 0 1"]):
        said = json.loads(run("--json", "cert.pem", "--record", *specs).out)
        assert [each["subject"] for each in said["records"]] == [f"DNS:{HOST}, DNS:www.example.org"]


def test_hostile_names_in_certificates_do_not_reach_the_terminal(run: Runs) -> None:
    root = issue("Evil\x1b[2J\nRoot", ca=True)
    said = run(run.file("chain.pem", pems(issue(HOST, root), root)), "--record", "2 0 1")
    assert "\x1b" not in said.err
    assert len(said.err.splitlines()) == 1


# --- start-up --------------------------------------------------------------------------------------------------------

SHOW = "import sys\nfrom danelaw.cli import run_command_line as run\nrun(sys.argv[1:])\nprint(*sorted(sys.modules))"
HEAVY = {"dns", "OpenSSL", "asyncio", "ssl", "sqlite3", "urllib3", "idna", "tomllib"}


def imported(*arguments: str) -> set[str]:
    argv = [sys.executable, "-c", SHOW, "tlsa", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return {module.partition(".")[0] for module in done.stdout.splitlines()[-1].split()}


def test_files_are_read_without_dns_and_tls(tmp_path: Path) -> None:
    chain, key, _ = LEAF.write(tmp_path, "mail")
    assert not HEAVY & imported(str(chain), "--record", "2 1 1", "--record", "3 1 1", "--endpoint", f"{HOST}:25")
    assert not HEAVY & imported(str(key))
    assert HEAVY & imported(
        "127.0.0.1:1", "--protocol", "tls"
    )  # the twin: nobody is there, and more was needed to know
