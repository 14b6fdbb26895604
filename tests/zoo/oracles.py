"""What tools that nobody here wrote say of an animal, each asked in the way in which it can be asked.

Postfix and Exim themselves are given a message for the domain, and posttls-finger the domain; danetool, ldns-dane and
smtp-dane-verify each MX host by the name by which senders meet it. ldns-dane has no STARTTLS, so it is given the chain
in a file and looks up the records. ``openssl s_client`` looks up nothing: it is given the records that the validating
resolver finds secure, each address, and each kind of certificate where there are two.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from world import World
from zoo import exim, postfix, smtp_dane_verify
from zoo.animal import Host, Manners
from zoo.grounds import Enclosure

Tool = Literal["Postfix", "Exim", "posttls-finger", "danetool", "ldns-dane", "s_client", "smtp-dane-verify"]
TOOLS: tuple[Tool, ...] = get_args(Tool)

Word = Literal["accepts", "refuses", "no DANE", "no answer", "crashes", "-"]
"""What it comes to: the server is authenticated by DANE; it is not, and should be; there is nothing to authenticate it
by; nothing was learnt; the tool crashed; there was nothing to ask it."""

LIMIT = 20.0
"""Seconds after which a tool is ended."""

DANETOOL_LIMIT = 8.0
"""Those for danetool, which waits for ten seconds where nothing comes."""

AT_ONCE = 6
"""Tools that run at one time."""


@dataclass(frozen=True, slots=True)
class Said:
    """One tool's word, and the line with which it said so."""

    word: Word
    line: str = ""


def worst(said: Iterable[Said]) -> Said:
    """Return the worst of what a tool said of several hosts, addresses or kinds of certificate."""
    order: tuple[Word, ...] = ("crashes", "refuses", "no answer", "no DANE", "accepts", "-")
    return min(said, key=lambda one: order.index(one.word), default=Said("-"))


Sayings = Mapping[str, Mapping[Tool, Said]]
"""By animal, by tool."""


def ask(world: World, enclosures: Sequence[Enclosure]) -> Sayings:
    """Ask every tool about every animal. Called in the thread that is in the world."""
    verify = smtp_dane_verify.install()
    names = sorted({one.animal.met(host) for one in enclosures for host in one.animal.hosts})
    domains = [one.animal.domain for one in enclosures if not one.animal.is_postfix]
    with tempfile.TemporaryDirectory(dir=world.folder) as folder, ThreadPoolExecutor(AT_ONCE + 3) as pool:
        posted = pool.submit(postfix.send, world, domains)
        mailed = pool.submit(exim.send, world, domains)
        own = pool.submit(smtp_dane_verify.ask, verify, names)
        asking = _Asking(world, Path(folder), pool)
        futures = {one.animal.name: asking.about(one) for one in enclosures}
        answers, posts, mails = own.result(), posted.result(), mailed.result()
        return {
            one.animal.name: {
                **{tool: worst(future.result() for future in each) for tool, each in futures[one.animal.name].items()},
                "Postfix": _by_postfix(posts.get(one.animal.domain)),
                "Exim": _by_exim(mails.get(one.animal.domain)),
                "smtp-dane-verify": worst(_verified(answers[one.animal.met(host)]) for host in one.animal.hosts),
            }
            for one in enclosures
        }


class _Asking:
    """Runs tools in a world, a few at a time, in a folder that takes what they leave behind."""

    def __init__(self, world: World, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder, self._pool = folder, pool
        self._world = world
        self._env = {**os.environ, **world.env, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C"}

    def about(self, enclosure: Enclosure) -> Mapping[Tool, Sequence[Future[Said]]]:
        """Begin to ask about an animal."""
        animal = enclosure.animal
        return {
            "posttls-finger": [self._pool.submit(self._posttls_finger, animal.domain)],
            "danetool": [self._pool.submit(self._danetool, animal.met(host)) for host in animal.hosts],
            "ldns-dane": [self._pool.submit(self._ldns_dane, enclosure, host) for host in animal.hosts],
            "s_client": [self._pool.submit(self._s_client, enclosure, host) for host in animal.hosts],
        }

    def _run(self, *argv: str, limit: float = LIMIT) -> tuple[int, str]:
        """Run a tool; return its exit status and what it printed, a status of 124 where it was ended."""
        with subprocess.Popen(
            argv,
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            try:
                said, _ = process.communicate("QUIT\n", timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
                return 124, said
            return process.returncode, said

    def _posttls_finger(self, domain: str) -> Said:
        _, text = self._run("posttls-finger", "-l", "dane", "-t", "8", "-T", "5", "-L", "summary,verbose", domain)
        return _judge(text, _POSTTLS_FINGER)

    def _danetool(self, host: str) -> Said:
        options = ["--starttls-proto", "smtp", "--port", "25", "--local-dns"]
        status, text = self._run("danetool", "--check", host, *options, limit=DANETOOL_LIMIT)
        return Said("crashes", f"signal {-status}") if status < 0 else _judge(text, _DANETOOL)

    def _ldns_dane(self, enclosure: Enclosure, host: Host) -> Said:
        return worst(
            self._ldns_dane_with(enclosure, host, chain)
            for server in host.servers
            if server.manners in _PRESENTING
            for chain in server.chains[: None if server.manners == "proper" else 1]
        )

    def _ldns_dane_with(self, enclosure: Enclosure, host: Host, chain: Sequence[str]) -> Said:
        pem = self._folder / f"{enclosure.animal.host_name(host)}-{chain[0].replace(':', '-')}.pem"
        pem.write_bytes(enclosure.casts[host.label].chain_pem(chain))
        options = ["-n", "-S", "-k", str(self._world.root_key), "-c", str(pem)]
        _, text = self._run("ldns-dane", *options, "verify", enclosure.animal.met(host), "25")
        return _judge(text, _LDNS_DANE)

    def _s_client(self, enclosure: Enclosure, host: Host) -> Said:
        base = enclosure.animal.base(host)
        _, found = self._run("dig", "+adflag", "+tries=1", "+time=15", f"_25._tcp.{base}", "TLSA")
        if "status: NOERROR" not in found and "status: NXDOMAIN" not in found:
            return Said("refuses", "the look-up of the records fails")
        records = re.findall(r"\sTLSA\s+(\d.*)", found)
        if not records or " ad" not in _line(found, ";; flags:"):
            return Said("no DANE", "no secure records")
        said = []
        for address, server in zip(enclosure.addresses[host.label], host.servers, strict=False):
            kinds = [_KINDS["ecdsa"], _KINDS["rsa"]] if len(server.chains) > 1 and server.manners == "proper" else [[]]
            said += [self._handshake(base, address, records, kind) for kind in kinds]
        return worst(said)

    def _handshake(self, base: str, address: str, records: Sequence[str], kind: Sequence[str]) -> Said:
        rrdata = [part for record in records for part in ("-dane_tlsa_rrdata", record)]
        _, text = self._run(
            *("openssl", "s_client", "-brief", "-starttls", "smtp", "-connect", f"{address}:25", *kind),
            *("-dane_ee_no_namechecks", "-dane_tlsa_domain", base, *rrdata),
        )
        return _judge(text, _S_CLIENT)


_KINDS = {
    "rsa": ["-sigalgs", "rsa_pss_rsae_sha256:RSA+SHA256", "-cipher", "aRSA"],
    "ecdsa": ["-sigalgs", "ECDSA+SHA256", "-cipher", "aECDSA"],
}

_PRESENTING: frozenset[Manners] = frozenset({"proper", "by-name", "postfix", "slow", "tls12", "tls13"})
"""Those whose chain somebody could have put into a file."""

_Rules = Sequence[tuple[Callable[[str], bool], Word, str]]
"""In order: whether a rule applies to the text, its word, and what the line that says so has in it."""


def _has(*marks: str, but: str = "\0") -> Callable[[str], bool]:
    return lambda text: all(mark in text for mark in marks) and but not in text


_UNREACHED = (
    "timeout while",
    "lost connection while",
    "Connection refused",
    "SMTP service not available",
    "Host not found\n",
)
_RECORDS, _UNUSABLE = "DNSSEC-signed TLSA record", "all TLSA records unusable"
_POSTTLS_FINGER: _Rules = (
    (_has("Verified TLS connection"), "accepts", "Verified TLS"),
    (_has("Trusted TLS connection", _RECORDS), "accepts", "MX RRset insecure: log verified as trusted"),
    (_has("TLSA lookup error"), "refuses", "TLSA lookup error"),
    (_has("Host not found, try again"), "refuses", "Host not found, try again"),
    *((_has(mark), "no answer", mark.strip()) for mark in _UNREACHED),
    (_has("(nullMX)"), "no DANE", "(nullMX)"),
    (_has(_RECORDS, "verification failed", but=_UNUSABLE), "refuses", "verification failed"),
    (_has(_RECORDS, "SSL_connect error"), "refuses", "SSL_connect error"),
    (_has(_RECORDS, "STARTTLS rejected"), "refuses", "STARTTLS rejected"),
    (_has(_RECORDS, "> QUIT", but="> STARTTLS"), "refuses", "> QUIT"),  # nothing better was offered
    (_has("TLS connection established"), "no DANE", "TLS connection established"),
)
_DANETOOL: _Rules = (
    (_has("Verification failed"), "refuses", "Verification failed"),
    (_has("Certificate matches"), "accepts", "Certificate matches"),
    (_has("DNSSEC signature is invalid"), "refuses", "signature is invalid"),
    (_has("No DANE data were found"), "no DANE", "No DANE data"),
    (_has("No DNSSEC signature was found"), "no DANE", "No DNSSEC signature"),
    (_has("Cannot resolve"), "no answer", "Cannot resolve"),
    (_has("error receiving"), "no answer", "error receiving"),
    (_has("Could not connect"), "no answer", "Could not connect"),
    (_has("Certificate could not be obtained"), "no answer", "Certificate could not be obtained"),
)
_LDNS_DANE: _Rules = (
    (_has("dane-validated successfully"), "accepts", "dane-validated"),
    (_has("No usable TLSA records"), "no DANE", "No usable TLSA"),
    (_has("did not dane-validate"), "refuses", "did not dane-validate"),
    (_has("dane_query:"), "refuses", "dane_query:"),
    (_has("ee key too small"), "refuses", "ee key too small"),
)
_S_CLIENT: _Rules = (
    (_has("Verification: OK"), "accepts", "Verification: OK"),
    (_has("Verification error"), "refuses", "Verification error"),
    (_has("import any TLSA records"), "no DANE", "import any TLSA records"),
    (_has("didn't find STARTTLS"), "refuses", "didn't find STARTTLS"),
    (_has("Connection refused"), "no answer", "Connection refused"),
    (_has("SSL routines"), "refuses", "SSL routines"),
)


def _judge(text: str, rules: _Rules) -> Said:
    for applies, word, mark in rules:
        if applies(text):
            return Said(word, _line(text, mark))
    return Said("no answer", text.strip().splitlines()[-1] if text.strip() else "it said nothing")


def _line(text: str, mark: str) -> str:
    return next((line.strip() for line in text.splitlines() if mark in line), "")


def _verified(answer: smtp_dane_verify.Answer) -> Said:
    """Tell the word of smtp-dane-verify, which knows valid and not valid, and in a message why it did not try."""
    message, verification = str(answer.get("message") or ""), str(answer.get("verification") or "")
    if answer.get("is_valid"):
        return Said("accepts", verification)
    if message.startswith(("No TLSA record found", "Domain ")):
        return Said("no DANE", message)
    if message.startswith("Command "):  # openssl, which did not end in time
        return Said("no answer", message)
    return Said("refuses", message or verification or "not valid")


_NOT_REACHED = ("refused to talk to me", "timed out", "lost connection", "Connection refused", "Host not found")


def _by_postfix(delivery: postfix.Delivery | None) -> Said:
    """Tell the word of Postfix itself from what became of a message."""
    if delivery is None:
        return Said("-")  # it would be talking to itself
    if delivery.status == "sent":
        authenticated = delivery.tls in {"Verified", "Trusted"}  # behind an insecure MX it says "Trusted"
        return Said("accepts" if authenticated else "no DANE", delivery.tls)
    if "(nullMX)" in delivery.reason:
        return Said("no DANE", delivery.reason)
    again = "Host not found, try again" in delivery.reason  # a look-up that failed
    unreached = not again and any(mark in delivery.reason for mark in _NOT_REACHED)
    return Said("no answer" if unreached else "refuses", delivery.reason)


_REFUSED_BY_EXIM = ("TLS session", "DANE error", "host lookup did not complete", "after STARTTLS")


def _by_exim(delivery: exim.Delivery | None) -> Said:
    """Tell the word of Exim itself from what became of a message."""
    if delivery is None:
        return Said("-")
    if delivery.status == "sent":
        return Said("accepts" if delivery.authenticated else "no DANE", delivery.line)
    if "indicated no SMTP service" in delivery.line:  # null MX
        return Said("no DANE", delivery.line)
    refuses = delivery.status == "deferred" and any(mark in delivery.line for mark in _REFUSED_BY_EXIM)
    return Said("refuses" if refuses else "no answer", delivery.line)
