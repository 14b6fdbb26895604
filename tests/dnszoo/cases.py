"""The names of the zoo with the verdict that each has, and the table of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from danelaw.model.outside import LookupType

Verdict = Literal["secure", "insecure", "bogus", "none", "pending"]
"""``none``: no answer at all. ``pending`` is delv's word alone: good as far as it looked."""

SKEW = "Unbound lets signatures pass an hour before and after their time (val-sig-skew-min); danelaw and BIND do not"
NETTLE = "Debian's libunbound8 is built with Nettle, without Ed448: to it and to danelaw the zone is unsigned"
RFC4509 = "RFC 4509 section 3: SHA-1 should not count beside SHA-256. BIND obeys, Unbound and libunbound do not"
OPT_OUT = "RFC 5155 section 9.2: what an opt-out span denies is insecure; delv does not say so of a negative answer"
HUNG = "delv 9.18 asks itself for a DS at the name and waits for that in vain, ten seconds, without a verdict"
NO_SOA = "delv says 'signed answer, pending validation': it looked at the NSEC record, and not at the SOA record"


@dataclass(frozen=True)
class Case:
    """One name and type. ``says`` is the key phrase of the reason; ``unbound`` and ``delv`` differ ``because``."""

    name: str
    rrtype: LookupType
    verdict: Verdict
    what: str
    says: str = ""
    unbound: Verdict | None = None
    delv: Verdict | None = None
    because: str = ""

    @property
    def expected(self) -> dict[str, Verdict]:
        """What each of the three says."""
        unbound, delv = self.unbound or self.verdict, self.delv or self.verdict
        return {"danelaw": self.verdict, "Unbound": unbound, "delv": delv}


def _tlsa(zone: str, verdict: Verdict, what: str, says: str = "", **other: str) -> Case:
    return Case(f"_25._tcp.mail.{zone}.test", "TLSA", verdict, what, says, **other)  # type: ignore[arg-type]  # literals


RIGHT: Sequence[Case] = (
    _tlsa("p256", "secure", "ECDSAP256SHA256, NSEC"),
    _tlsa("p384", "secure", "ECDSAP384SHA384"),
    _tlsa("ed25519", "secure", "ED25519"),
    _tlsa("ed448", "insecure", "ED448", unbound="secure", delv="secure", because=NETTLE),
    _tlsa("rsa256", "secure", "RSASHA256"),
    _tlsa("rsa512", "secure", "RSASHA512"),
    _tlsa("rsa1", "secure", "RSASHA1, deprecated and still validated"),
    Case("p256.test", "MX", "secure", "MX"),
    Case("mail.p256.test", "MX", "secure", "no such type, by NSEC"),
    Case("_443._tcp.mail.p256.test", "TLSA", "secure", "no such name, by NSEC"),
    Case("_tcp.mail.p256.test", "TLSA", "secure", "an empty non-terminal, by NSEC"),
    _tlsa("nsec3", "secure", "NSEC3"),
    Case("mail.nsec3.test", "MX", "secure", "no such type, by NSEC3"),
    Case("_443._tcp.mail.nsec3.test", "TLSA", "secure", "no such name, by NSEC3"),
    Case("_tcp.mail.nsec3.test", "TLSA", "secure", "an empty non-terminal, by NSEC3"),
    Case("_443._tcp.mail.salted.test", "TLSA", "secure", "no such name, by NSEC3 with salt and 100 iterations"),
    _tlsa("iterated", "secure", "NSEC3 with 151 iterations: what is there is secure"),
    Case("_443._tcp.mail.iterated.test", "TLSA", "insecure", "no such name, by NSEC3 with 151 iterations (RFC 9276)"),
    _tlsa("optout", "secure", "NSEC3 with opt-out"),
    _tlsa("sub.optout", "insecure", "an unsigned zone below, in the opt-out span"),
    _tlsa("signed.optout", "secure", "a signed zone below, beside the opt-out span"),
    Case("nothing.optout.test", "A", "insecure", "no such name, in an opt-out span", delv="secure", because=OPT_OUT),
    Case("_25._tcp.x.w.wild.test", "TLSA", "secure", "from a wildcard, with NSEC for it"),
    Case("_25._tcp.x.w.wild.test", "MX", "secure", "no such type at a wildcard, by NSEC"),
    Case("_25._tcp.x.w.wild3.test", "TLSA", "secure", "from a wildcard, with NSEC3 for it"),
    Case("_25._tcp.x.w.wild3.test", "MX", "secure", "no such type at a wildcard, by NSEC3"),
    Case("x.y.wild3.test", "A", "secure", "no such name, and no wildcard, by NSEC3"),
    _tlsa("plain", "insecure", "an unsigned zone"),
    _tlsa("below.plain", "insecure", "a signed zone below an unsigned one"),
    _tlsa("child.parent", "secure", "a signed zone below a signed one, of another algorithm"),
    _tlsa("island.parent", "insecure", "a signed zone without DS below a signed one"),
    _tlsa("unsigned.parent", "insecure", "an unsigned zone below a signed one, by NSEC"),
    _tlsa("kinds", "secure", "TLSA records of every usage and selector, one with a short digest"),
    Case("nullmx.test", "MX", "secure", "the null MX"),
    _tlsa("unknownds", "insecure", "a DS of an unknown algorithm alone"),
    _tlsa("unknowndigest", "insecure", "a DS with an unknown digest alone"),
    _tlsa("besideds", "secure", "a DS of an unknown algorithm beside a good one"),
    _tlsa("manyds", "secure", "a DS of a key that is not there beside a good one"),
    _tlsa("twokeys", "secure", "two keys that both sign"),
    _tlsa("downgrade", "secure", "DS of two algorithms, signatures of one (RFC 6840 section 5.11)"),
    _tlsa("sha1only", "secure", "a DS with SHA-1 alone"),
    _tlsa("sha384only", "secure", "a DS with SHA-384 alone"),
    _tlsa("sha1wrong", "secure", "a DS with a wrong SHA-1 digest beside a right SHA-256 one"),
    _tlsa(
        "sha2wrong",
        "secure",
        "a DS with a wrong SHA-256 digest beside a right SHA-1 one",
        delv="bogus",
        because=RFC4509,
    ),
    Case("inner.chains.test", "TLSA", "secure", "a CNAME in the zone"),
    Case("twice.chains.test", "TLSA", "secure", "two CNAMEs in the zone"),
    Case("secure.chains.test", "TLSA", "secure", "a CNAME into another secure zone"),
    Case("insecure.chains.test", "TLSA", "insecure", "a CNAME into an insecure zone"),
    Case("back.plain.test", "TLSA", "insecure", "a CNAME from an insecure zone into a secure one"),
    Case("nowhere.chains.test", "TLSA", "secure", "a CNAME to a name that is not there"),
    Case("_25._tcp.mail.old.chains.test", "TLSA", "secure", "a DNAME into another secure zone"),
    Case("_25._tcp.mail.gone.chains.test", "TLSA", "insecure", "a DNAME into an insecure zone"),
    _tlsa("tcpmissing", "secure", "NXDOMAIN at _tcp, and records below it"),
    Case("mail.tlsafails.test", "A", "secure", "the address where TLSA look-ups fail"),
    _tlsa("plainmissing", "insecure", "NXDOMAIN for every TLSA look-up, in an unsigned zone"),
)

WRONG: Sequence[Case] = (
    _tlsa("stale", "bogus", "every signature expired days ago", "stale.test. DNSKEY by key"),
    _tlsa("sub.stale", "bogus", "a good zone below that one", "the RRSIG over stale.test. DNSKEY"),
    _tlsa("late", "bogus", "every signature expired ten minutes ago", "expired on", unbound="secure", because=SKEW),
    _tlsa("early", "bogus", "every signature is for tomorrow", "is not valid before"),
    _tlsa(
        "soon", "bogus", "every signature begins in ten minutes", "is not valid before", unbound="secure", because=SKEW
    ),
    _tlsa("nosig", "bogus", "the RRSIG taken away", "TLSA has no RRSIG, though nosig.test. is signed"),
    _tlsa("flipped", "bogus", "an octet of the signature changed", "TLSA by key {one} does not verify"),
    _tlsa("changed", "bogus", "the record changed after signing", "TLSA by key {one} does not verify"),
    Case(
        "mxflipped.test", "MX", "bogus", "the MX record's signature changed", "mxflipped.test. MX by key {one} does not"
    ),
    Case(
        "mail.addressflipped.test",
        "A",
        "bogus",
        "the address's signature changed",
        "test. A by key {one} does not verify",
    ),
    _tlsa("wrongds", "bogus", "the DS has a wrong digest", "the digest there is not that of this key"),
    _tlsa(
        "lostkey",
        "bogus",
        "the DS names a key that is not there",
        "key {other} (algorithm 13), and lostkey.test. has no",
    ),
    _tlsa(
        "otheralgorithm",
        "bogus",
        "the DS names another algorithm",
        "(algorithm 8), and otheralgorithm.test. has no such",
    ),
    _tlsa(
        "unsignedwithds",
        "bogus",
        "a DS, and the zone is not signed",
        "is signed, and unsignedwithds.test. has no DNSKEY",
    ),
    _tlsa("keysunsigned", "bogus", "the keys are not signed", "keysunsigned.test. DNSKEY has no RRSIG"),
    _tlsa(
        "keysflipped", "bogus", "the keys' signature changed", "keysflipped.test. DNSKEY by key {one} does not verify"
    ),
    _tlsa("strangekey", "bogus", "the keys are signed by one without DS", "by key {other} alone, and not by key {one}"),
    _tlsa("unlisted", "bogus", "signed by a key that is not there", "by key {other} (algorithm 13) cannot be checked"),
    _tlsa("revoked", "bogus", "the DS names a revoked key", "is revoked: put another in its place"),
    _tlsa("othersigner", "bogus", "the RRSIG names another zone", "names p256.test. as its signer"),
    _tlsa("manylabels", "bogus", "the RRSIG has more labels than the name", "says 9 labels, and its owner name has 5"),
    _tlsa("fewlabels", "bogus", "the RRSIG has fewer labels than the name", "does not verify"),
    _tlsa("sub.badds", "bogus", "the DS's signature changed", "sub.badds.test. DS by key {one} does not verify"),
    _tlsa(
        "sub.noproof",
        "bogus",
        "no NSEC for an unsigned delegation: its server fails",
        "answers for sub.noproof.test. DS",
    ),
    _tlsa("sub.noproof3", "bogus", "no NSEC3 for an unsigned delegation", "no proof that sub.noproof3.test. has no DS"),
    Case("_443._tcp.mail.nonsec.test", "TLSA", "bogus", "NSEC records taken away", "does not exist: no NSEC covers it"),
    Case(
        "_443._tcp.mail.nonsec3.test",
        "TLSA",
        "bogus",
        "NSEC3 records taken away",
        "its answer has no NSEC or NSEC3 record",
    ),
    Case(
        "mail.nonsec3.test",
        "TLSA",
        "bogus",
        "the same, of a type",
        "gives no proof that mail.nonsec3.test. has no TLSA",
    ),
    Case("mail.movednsec3.test", "TLSA", "bogus", "NSEC3 records with other hashes", "has the hash of a name above it"),
    Case("_443._tcp.mail.movednsec3.test", "TLSA", "bogus", "the same, of a name", "has the hash of a name above it"),
    _tlsa("lying", "bogus", "the records withheld, their NSEC not", "has no TLSA: its NSEC lists TLSA there"),
    _tlsa("lying3", "bogus", "the records withheld, their NSEC3 not", "does not exist: no NSEC3 covers it"),
    Case(
        "mail.nsecflipped.test",
        "TLSA",
        "bogus",
        "the NSEC's signature changed",
        "test. NSEC by key {one} does not verify",
    ),
    Case(
        "_443._tcp.mail.nsecstale.test",
        "TLSA",
        "bogus",
        "the NSEC's signature expired",
        "nsecstale.test. NSEC by key {one} exp",
    ),
    Case(
        "mail.soaunsigned.test",
        "TLSA",
        "bogus",
        "a denial whose SOA is not signed",
        "soaunsigned.test. SOA has no RRSIG",
        delv="pending",
        because=NO_SOA,
    ),
    Case(
        "_25._tcp.x.w.wildunproven.test",
        "TLSA",
        "bogus",
        "from a wildcard, without NSEC",
        "that no closer name exists: no NSEC",
    ),
    Case(
        "_25._tcp.x.w.wildunproven3.test",
        "TLSA",
        "bogus",
        "from a wildcard, without NSEC3",
        "that no closer name exists: its",
    ),
    Case(
        "bogus.chains.test",
        "TLSA",
        "bogus",
        "a CNAME into a bogus zone",
        "over _25._tcp.mail.flipped.test. TLSA by key {one}",
    ),
    Case(
        "unsigned.chains.test",
        "TLSA",
        "bogus",
        "a CNAME without RRSIG",
        "unsigned.chains.test. CNAME has no RRSIG",
        delv="none",
        because=HUNG,
    ),
    _tlsa(
        "tlsamissing", "bogus", "NXDOMAIN for every TLSA look-up, unproven", "its answer has no NSEC or NSEC3 record"
    ),
    _tlsa("lame", "bogus", "a server that does not have the zone", "127.53.9.3 is lame"),
    _tlsa("refusing", "none", "a server that refuses", "127.53.9.2 answers REFUSED"),
    _tlsa("silent", "none", "a server that is silent", "127.53.9.4"),
    _tlsa("closed", "none", "no server where there should be one", "127.53.9.5"),
    _tlsa("tlsafails", "none", "a server that fails at TLSA", "127.53.9.6 answers SERVFAIL"),
    _tlsa("tlsadropped", "none", "a server that drops TLSA queries", "127.53.9.7"),
    _tlsa("plainfails", "none", "a server that fails at TLSA, in an unsigned zone", "127.53.9.6 answers SERVFAIL"),
    Case("circle.chains.test", "TLSA", "none", "CNAMEs in a circle", "run in a circle"),
)

CASES = (*RIGHT, *WRONG)


def table() -> str:
    """Return the table of docs/validation.md."""
    lines = [
        "| name and type | what it is | danelaw | Unbound | delv | note |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    notes: dict[str, int] = {}
    for case in CASES:
        note = f"({notes.setdefault(case.because, len(notes) + 1)})" if case.because else ""
        verdicts = [verdict if verdict != "none" else "no answer" for verdict in case.expected.values()]
        shown = [verdict if verdict == verdicts[0] else f"**{verdict}**" for verdict in verdicts]
        lines.append(" | ".join((f"| `{case.name}` {case.rrtype}", case.what, *shown, f"{note} |".lstrip())))
    lines.append("")
    lines += [f"{number}. {because}." for because, number in notes.items()]
    return "\n".join(lines) + "\n"
