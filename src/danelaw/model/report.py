"""What a check finds: the verdict of each sender on each endpoint and on the domain, and the findings that explain it.

Everything that any output says (terminal, JSON, page, monitor) comes from these values alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from danelaw.model.looks import OwnerLook, Security
from danelaw.model.outside import LookedUp, PolicyFound, Shaken
from danelaw.model.things import AppProtocol, KeyAlgorithm, TlsaRecord
from danelaw.names import format_host_port

Sender = Literal["postfix", "exim", "mox", "exchange", "client"]
"""The four senders of mail that are told apart, and ``client``: any DANE client of another service (RFC 7673)."""

MAIL_SENDERS: tuple[Sender, ...] = ("postfix", "exim", "mox", "exchange")

Outcome = Literal["authenticated", "encrypted", "opportunistic", "deferred", "unknown"]
"""What a sender does at an endpoint.

``authenticated``: it delivers with DANE. ``encrypted``: TLS is required, the server is not authenticated (records,
none usable). ``opportunistic``: DANE says nothing; it delivers as to anybody (a client of another service: by its
ordinary checks). ``deferred``: it does not deliver here. ``unknown``: it cannot be told from here and now.
"""

Severity = Literal["error", "warning", "note", "good"]
"""``error``: some sender does not deliver, or mail is not protected though it was meant to be. ``good``: as it ought to
be, and worth saying (a published next key)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked: a domain (``port`` None), by its MX hosts or the SRV records of ``service``, or one endpoint.

    ``name`` is an A-label name without the final dot; of an endpoint it may be an address. ``service`` is a SRV label
    (``xmpp-client``), "" for MX.
    """

    name: str
    port: int | None = None
    protocol: AppProtocol = "smtp"
    service: str = ""

    def __str__(self) -> str:
        if self.port is not None:
            return format_host_port(self.name, self.port)
        return f"{self.name} ({self.service})" if self.service else self.name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. ``code`` is stable; ``subject`` names what it is about (``mail.example.org:25 at 192.0.2.1``).

    ``text`` is one sentence without the subject's name in front; ``remedy`` is what to do ("" where nothing is);
    ``rfc`` is where it stands (``RFC 7672 section 2.2.2``).
    """

    code: str
    severity: Severity
    subject: str
    text: str
    remedy: str = ""
    rfc: str = ""


@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """One TLSA record held against one chain.

    ``usable``: a client that obeys the RFCs can use it here. ``counts``: it is not set aside for a stronger digest
    (RFC 7671 section 9). ``matches``: it authenticates the chain, names, dates and trust included. ``depth`` is the
    certificate that it pins, 0 the leaf, counted along the chain presented; None where none is (or a key or
    certificate that stands in DNS alone signed it). ``why`` says why it is unusable or does not match, "" where it
    does.
    """

    record: TlsaRecord
    usable: bool
    counts: bool
    matches: bool
    depth: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address and kind of certificate: what was presented there, how the records fit, and what senders make of it.

    ``records`` are judged as Postfix does (digest agility, all reference identifiers). ``outcomes`` is empty where the
    kind is not offered: nobody meets it.
    """

    address: str
    algorithm: KeyAlgorithm | None
    shaken: Shaken
    records: tuple[RecordVerdict, ...] = ()
    outcomes: Mapping[Sender, Outcome] = field(default_factory=dict)


TlsaKind = Literal["usable", "unusable", "none", "insecure", "error", "not-asked"]
"""``none`` is proven absence; ``not-asked``: the addresses are insecure, so nobody asks (RFC 7672 section 2.2.2)."""


@dataclass(frozen=True, slots=True)
class TlsaState:
    """What the look-ups of the TLSA records of one host and port brought.

    ``base`` is the TLSA base domain, ``owner`` its owner name (with the final dot). ``asked`` are all owner names
    tried, in order. ``found`` is the deciding look-up. ``reference_names`` are what the leaf may be named for usage 2,
    the base domain first (RFC 7672 section 3.2.2). ``authorities`` is what each server says, where it was asked.
    """

    base: str
    owner: str
    kind: TlsaKind
    records: tuple[TlsaRecord, ...] = ()
    asked: tuple[str, ...] = ()
    found: LookedUp | None = None
    authorities: OwnerLook | None = None
    reference_names: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One host and port as senders meet it.

    ``host`` is the name as MX, SRV or the user gave it; ``canonical`` where its CNAMEs end. ``preference`` is the MX's,
    or the SRV's priority; None for an endpoint asked for by itself. ``addresses`` are all that DNS has, ``security``
    the worst of the two look-ups; ``first_alias`` is that of the first CNAME where the host is an alias. ``outcomes``
    is the worst over the attempts.
    """

    host: str
    port: int
    protocol: AppProtocol
    preference: int | None
    addresses: tuple[str, ...]
    security: Security
    canonical: str
    tlsa: TlsaState
    first_alias: Security | None = None
    lookups: tuple[LookedUp, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    outcomes: Mapping[Sender, Outcome] = field(default_factory=dict)
    why: str = ""

    @property
    def name(self) -> str:
        """Return host and port for people."""
        return format_host_port(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Discovery:
    """How the endpoints were found: the MX or SRV look-up, None for an endpoint asked for by itself.

    ``kind``: ``listed`` by records; ``implicit``: no MX, so the domain is its own host (RFC 5321 section 5.1);
    ``null``: it takes no mail (RFC 7505), or has no such service; ``missing``: no such domain; ``error``.
    ``left_out`` are hosts beyond what is looked at.
    """

    kind: Literal["listed", "implicit", "null", "missing", "error", "given"]
    found: LookedUp | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole check. ``status`` is the exit status: 0 good, 1 some sender defers, 3 not protected, 4 cannot tell.

    ``outcomes`` is each sender's for the domain: the worst over its endpoints. ``delivers`` says of each sender whether
    mail gets through by some host all the same; None: cannot tell. ``policy`` is MTA-STS's as found, where it was
    asked for. ``beside`` are further look-ups that findings rest on, MTA-STS's and TLSRPT's records among them.
    """

    target: Target
    at: datetime
    discovery: Discovery
    endpoints: tuple[EndpointReport, ...]
    outcomes: Mapping[Sender, Outcome]
    delivers: Mapping[Sender, bool | None]
    status: Literal[0, 1, 3, 4]
    findings: tuple[Finding, ...] = ()
    policy: PolicyFound | None = None
    beside: tuple[LookedUp, ...] = ()
