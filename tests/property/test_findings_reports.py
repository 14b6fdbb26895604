"""Whatever a report holds, findings come of it, and none is missing where some sender does not deliver."""

from dataclasses import replace
from datetime import timedelta
from typing import Literal, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from danelaw.dane.findings import CODES, SEVERITIES, find
from danelaw.dane.policy import Fault, StsPolicy, lists, parse_sts_policy, parse_sts_record, parse_tls_reporting
from danelaw.errors import InputError
from danelaw.model import (
    MAIL_SENDERS,
    Chain,
    Discovery,
    EndpointReport,
    FailureKind,
    LookedUp,
    LookupType,
    MxRecord,
    Report,
    Security,
    Sender,
    Shaken,
    Target,
    TlsaKind,
    TlsaRecord,
)
from fakes.reports import (
    AT,
    DOMAIN,
    HOST,
    OTHER,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    policy,
    reading,
    record,
    report,
    shaken,
    stale,
    tlsa_state,
)
from fakes.reports import servers as server_look

CHAINS = (
    chain(),
    chain(rsa=True),
    chain(label="other"),
    chain("www.example.net"),
    chain(DOMAIN),
    chain(days=-2, age=40),
    chain(age=-2),
    chain(days=30, age=60, authority="Let's Encrypt"),
    replace(chain(), certificates_der=chain().certificates_der[:1]),
    replace(chain(), not_before=AT.min.replace(tzinfo=AT.tzinfo), not_after=AT.max.replace(tzinfo=AT.tzinfo)),
    replace(chain(), not_before=AT.min.replace(tzinfo=AT.tzinfo), not_after=AT.min.replace(tzinfo=AT.tzinfo), names=()),
    replace(chain(), certificates_der=(b"no certificate",), algorithm="other", names=()),
)
KINDS: list[Literal["listed", "implicit", "null", "missing", "error", "given"]] = [
    *("listed", "implicit", "null", "missing", "error", "given")
]
SPECS = [f"{usage} {selector} {matching}" for usage in range(4) for selector in (0, 1) for matching in (0, 1, 2)]
WORDS = st.text(max_size=20) | st.sampled_from(["", HOST, "v=STSv1; id=1", "v=TLSRPTv1; rua=mailto:a@b", "\x00\u202e"])


def known(presented: Chain, spec: str) -> TlsaRecord:
    """Return a chain's record, or one of nobody's where it has none."""
    try:
        return record(presented, spec)
    except InputError:
        return stale(spec)


records = st.one_of(
    st.builds(known, st.sampled_from(CHAINS[:9]), st.sampled_from(SPECS)),
    st.builds(TlsaRecord, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=70)),
)
rrsets = st.lists(records, max_size=4, unique=True) | st.lists(records, min_size=13, max_size=15, unique=True)


@st.composite
def handshakes(draw: st.DrawFn) -> Shaken:
    failure = draw(st.none() | st.sampled_from(get_args(FailureKind)))
    return shaken(
        draw(st.sampled_from([V4, V6])),
        None if failure else draw(st.sampled_from(CHAINS)),
        failure,
        algorithm=draw(st.sampled_from([None, "rsa", "ecdsa"])),
        detail=draw(WORDS),
        banner=draw(WORDS),
        version=draw(st.sampled_from(["TLSv1.3", "TLSv1.1", ""])),
    )


@st.composite
def lookups(draw: st.DrawFn) -> LookedUp:
    rrtype = draw(st.sampled_from(get_args(LookupType)))
    name = draw(
        st.sampled_from(
            [DOMAIN, HOST, f"_tcp.{HOST}", f"_mta-sts.{DOMAIN}", f"_smtp._tls.{DOMAIN}", f"_25._tcp.{DOMAIN}"]
        )
    )
    return looked_up(
        name,
        rrtype,
        draw(st.sampled_from(get_args(Security))),
        draw(st.sampled_from(["NOERROR", "NXDOMAIN", "SERVFAIL", "TIMEOUT", "REFUSED"])),
        mx=tuple(draw(st.lists(st.builds(MxRecord, st.integers(0, 9), st.sampled_from(["", HOST, V4])), max_size=3))),
        tlsa=tuple(draw(rrsets)),
        texts=tuple(draw(st.lists(WORDS, max_size=3))),
        expires=draw(
            st.none() | st.sampled_from([AT, AT - timedelta(1), AT + timedelta(1), AT.max.replace(tzinfo=AT.tzinfo)])
        ),
        malformed=draw(st.integers(0, 2)),
        why=draw(WORDS),
        ours=draw(st.booleans()),
        warnings=tuple(draw(st.lists(WORDS, max_size=2))),
    )


@st.composite
def endpoints(draw: st.DrawFn, kinds: tuple[TlsaKind, ...] = get_args(TlsaKind)) -> EndpointReport:
    """``kinds`` are what may be said whatever the records are; else they decide."""
    host = draw(st.sampled_from([HOST, OTHER, V4, DOMAIN]))
    senders: tuple[Sender, ...] = draw(st.sampled_from([MAIL_SENDERS, ("client",)]))
    port = 25 if senders == MAIL_SENDERS else 993
    kind: TlsaKind | None = draw(st.none() | st.sampled_from(kinds))
    state = tlsa_state(host, draw(rrsets), kind=kind, port=port, found=draw(st.none() | lookups()))
    if draw(st.booleans()):
        readings = [
            reading(
                f"192.0.2.{number}",
                state.owner,
                draw(rrsets),
                ttl=draw(st.integers(0, 1 << 31)),
                wildcard=draw(st.booleans()),
                rrsig_expires=draw(st.none() | st.sampled_from([AT, AT - timedelta(1), AT + timedelta(1)])),
            )
            for number in range(draw(st.integers(0, 3)))
        ]
        look = server_look(
            state.owner,
            readings=readings,
            silent=draw(st.sampled_from([(), ("192.0.2.99",)])),
            left_out=draw(st.sampled_from([(), ("2001:db8::53",)])),
            host_wildcard=draw(st.booleans()),
            problem=draw(st.none() | WORDS),
        )
        state = replace(state, authorities=look)
    return endpoint(
        host,
        port,
        preference=draw(st.sampled_from([None, 10])),
        addresses=draw(st.sampled_from([(), (V4,), (V4, V6)])),
        tlsa=state,
        handshakes=draw(st.lists(handshakes(), max_size=4)),
        security=draw(st.sampled_from(get_args(Security))),
        canonical=draw(st.sampled_from(["", "other.example.net"])),
        first_alias=draw(st.none() | st.sampled_from(get_args(Security))),
        lookups=draw(st.none() | st.lists(lookups(), max_size=2).map(tuple)),
        senders=senders,
        secure_mx=draw(st.booleans()),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:
    kind = draw(st.sampled_from(KINDS))
    whole = report(
        *draw(st.lists(endpoints(), max_size=3)),
        target=draw(st.sampled_from([Target(DOMAIN), Target(HOST, 25), Target(DOMAIN, service="xmpp-client")])),
        discovery=Discovery(kind, draw(st.none() | lookups()), tuple(draw(st.lists(WORDS, max_size=10)))),
        policy=draw(st.none() | st.builds(policy, WORDS, problem=WORDS, ours=st.booleans())),
        beside=tuple(draw(st.lists(lookups(), max_size=4))),
    )
    return replace(whole, delivers=draw(st.dictionaries(st.sampled_from(MAIL_SENDERS), st.none() | st.booleans())))


@settings(max_examples=60, deadline=None)
@given(whole=reports(), ttl=st.integers(0, 1 << 31))
def test_findings_come_of_anything(whole: Report, ttl: int) -> None:
    found = find(whole, {f"_25._tcp.{HOST}.": ttl})
    for each in found:
        assert each.severity in CODES[each.code].severities
        assert each.rfc == CODES[each.code].rfc
        assert each.text
        assert (each.subject + each.text + each.remedy).isprintable()
        assert len(each.subject + each.text + each.remedy) < 4000
    keys = [(SEVERITIES.index(each.severity), each.subject) for each in found]
    assert keys == sorted(keys)
    assert len({(each.code, each.severity, each.text, each.remedy) for each in found}) == len(found)


@settings(max_examples=150, deadline=None)
@given(place=endpoints(("none", "insecure", "error", "not-asked")))
def test_who_does_not_deliver_is_told_why(place: EndpointReport) -> None:
    """An error about an endpoint wherever a sender that met it defers, unless it is this machine's own failure."""
    whole = report(place, discovery=Discovery("given"), target=Target(place.host, place.port))
    refused = any(outcome == "deferred" for each in place.attempts for outcome in each.outcomes.values())
    errors = [each for each in find(whole) if each.severity == "error" and place.name in each.subject]
    assert errors or not refused


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            ["version: STSv1", "mode: enforce", "mx: a.b", "mx: *.b", "max_age: 1", "", "x: y", "\r", "mx:"]
        ),
        max_size=8,
    ).map("\n".join)
)
def test_any_policy_is_read_or_refused(text: str) -> None:
    found = parse_sts_policy(text)
    assert isinstance(found, StsPolicy) or (isinstance(found, Fault) and found.why.isprintable())
    if isinstance(found, StsPolicy):
        assert all(lists(found, host) for host in found.mx if not host.startswith("*."))
        assert not lists(found, "")


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(
        st.text(max_size=60)
        | st.builds(
            "v={}{}{}".format,
            st.sampled_from(["STSv1", "TLSRPTv1"]),
            st.sampled_from([";", "; ", ""]),
            st.text(alphabet="id=rua;:@, xé", max_size=40),
        ),
        max_size=3,
    )
)
def test_any_text_records_are_read_or_refused(texts: list[str]) -> None:
    for parse in (parse_sts_record, parse_tls_reporting):
        found = parse(texts)
        assert not isinstance(found, Fault) or found.why.isprintable()
