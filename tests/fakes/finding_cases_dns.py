"""Cases of findings on how hosts are found, what DNS says of them, and what each name server says."""

from dataclasses import replace

from danelaw.model import (
    Discovery,
    SrvRecord,
    Target,
)
from fakes.finding_cases import (
    OWNER,
    Case,
    answered,
    by_mx,
    holding,
    not_asked,
    nothing,
    one_server,
    tlsa,
    tlsa_failed,
    two_hosts,
    with_lookup,
    xmpp,
)
from fakes.reports import (
    AT,
    DAY,
    DOMAIN,
    HOST,
    OTHER,
    SERVERS,
    TCP_EXISTS,
    V4,
    V6,
    chain,
    endpoint,
    looked_up,
    mx,
    record,
    report,
    shaken,
    stale,
    tlsa_state,
)

HOSTS = (
    Case(
        "no-such-domain",
        "error",
        "NXDOMAIN",
        lambda: nothing("missing", found=looked_up(DOMAIN, "MX", rcode="NXDOMAIN")),
    ),
    Case("null-mx", "note", "takes no mail", lambda: nothing("null", found=mx("")), lambda: xmpp("null")),
    Case("no-such-service", "note", "xmpp-client", lambda: xmpp("null"), lambda: nothing("null", found=mx(""))),
    Case(
        "mx-bogus",
        "error",
        "MX look-up is bogus.*no RRSIG",
        lambda: nothing("error", found=mx(security="bogus", rcode="SERVFAIL", why="no RRSIG over the MX records")),
        lambda: nothing("error", found=mx(security="indeterminate", rcode="SERVFAIL")),
    ),
    Case(
        "mx-lookup-failed",
        "error",
        "MX look-up fails .SERVFAIL",
        lambda: nothing("error", found=mx(security="indeterminate", rcode="SERVFAIL")),
        lambda: nothing("error", found=mx(security="indeterminate", rcode="SERVFAIL", ours=True)),
    ),
    Case(
        "mx-insecure",
        "warning",
        "used by Postfix all the same, not by Exim, mox and Exchange|Postfix uses all the same, and Exim, mox and Exch",
        lambda: by_mx(mx(HOST, security="insecure"), endpoint(secure_mx=False)),
        lambda: by_mx(mx(security="insecure"), endpoint(DOMAIN, preference=None), kind="implicit"),
    ),
    Case(
        "mx-implicit",
        "note",
        "no MX record",
        lambda: by_mx(mx(), endpoint(DOMAIN, preference=None), kind="implicit"),
    ),
    Case(
        "mx-implicit",
        "note",
        "no SRV record",
        lambda: xmpp("implicit", found=looked_up(f"_xmpp-client._tcp.{DOMAIN}", "SRV")),
        lambda: xmpp(
            "listed",
            found=replace(looked_up(f"_xmpp-client._tcp.{DOMAIN}", "SRV"), srv=(SrvRecord(0, 0, 5222, DOMAIN),)),
        ),
    ),
    Case("mx-malformed", "warning", "^2 of its MX", lambda: by_mx(mx(HOST, malformed=2))),
    Case(
        "mx-null-beside-others",
        "warning",
        "must stand alone",
        lambda: by_mx(mx(HOST, "")),
        lambda: nothing("null", found=mx("")),
    ),
    Case(
        "mx-is-address",
        "error",
        "192.0.2.25",
        lambda: by_mx(
            mx(V4),
            endpoint(V4, addresses=(), lookups=(), handshakes=(), kind="not-asked", security="insecure", canonical=V4),
        ),
    ),
    Case(
        "mx-is-alias",
        "warning",
        "alias of real.example.net",
        lambda: report(endpoint(canonical="real.example.net")),
        lambda: report(endpoint(canonical="real.example.net", preference=None), discovery=Discovery("given")),
    ),
    Case(
        "host-without-address",
        "error",
        "neither an A nor an AAAA",
        lambda: report(endpoint(addresses=(), handshakes=(), kind="not-asked")),
        lambda: report(with_lookup("A", "bogus")),
    ),
    Case(
        "host-without-address",
        "warning",
        "does not exist",
        lambda: report(
            endpoint(),
            endpoint(
                OTHER,
                addresses=(),
                handshakes=(),
                kind="not-asked",
                lookups=(looked_up(OTHER, "A", rcode="NXDOMAIN"), looked_up(OTHER, "AAAA", rcode="NXDOMAIN")),
            ),
        ),
    ),
    Case(
        "hosts-left-out",
        "note",
        "^1 more host.*mx33",
        lambda: report(endpoint(), discovery=Discovery("listed", mx(HOST), ("mx33.example.org",))),
    ),
    Case(
        "addresses-left-out",
        "note",
        "^of 3 addresses 2 were looked at, and not 192.0.2.99",
        lambda: report(
            endpoint(addresses=(V4, V6, "192.0.2.99"), handshakes=[shaken(V4, chain()), shaken(V6, chain())])
        ),
        lambda: report(endpoint(addresses=(V4, V6, "192.0.2.99"), handshakes=())),
    ),
    Case(
        "dane-on-some-hosts",
        "error",
        "^mx2.example.org has no TLSA records that senders use, and mail.example.org has",
        lambda: report(endpoint(), endpoint(OTHER, kind="none")),
        lambda: report(endpoint(kind="none"), endpoint(OTHER, kind="none")),
    ),
    Case(
        "same-key-everywhere",
        "note",
        "all 2 hosts present the same key",
        lambda: two_hosts(shared=True),
        lambda: two_hosts(shared=False),
    ),
    Case(
        "mail-stops",
        "error",
        "^Postfix, Exim, mox and Exchange get through by no host",
        lambda: holding(stale()),
        lambda: report(
            endpoint(records=[stale()]), endpoint(OTHER), discovery=Discovery("given"), target=Target(HOST, 25)
        ),
    ),
    Case("protected", "good", "all 2 hosts", report, lambda: report(endpoint(), endpoint(OTHER, kind="none"))),
)

NAMES = (
    Case(
        "address-bogus",
        "error",
        "addresses .AAAA. is bogus.*expired",
        lambda: report(with_lookup("AAAA", "bogus", why="the RRSIG over AAAA expired")),
        lambda: report(with_lookup("AAAA", "indeterminate")),
    ),
    Case(
        "address-lookup-failed",
        "error",
        "addresses .A. fails .SERVFAIL",
        lambda: report(with_lookup("A", "indeterminate")),
        lambda: report(with_lookup("A", "indeterminate", ours=True)),
    ),
    Case("address-insecure", "warning", "not signed", not_asked),
    Case(
        "address-insecure",
        "error",
        "1 record there. and DANE does not",
        lambda: not_asked(tlsa("insecure", "NOERROR", tlsa=(stale(),))),
        not_asked,
    ),
    Case(
        "alias-insecure",
        "warning",
        "signed alias of mail.provider.test",
        lambda: report(
            endpoint(security="insecure", canonical="mail.provider.test", first_alias="secure", preference=None)
        ),
        not_asked,
    ),
    Case(
        "tlsa-bogus",
        "error",
        "is bogus, so senders.*no DNSKEY",
        lambda: tlsa_failed(tlsa("bogus", why="no DNSKEY fits the DS")),
        lambda: tlsa_failed(tlsa("bogus", ours=True)),
    ),
    Case(
        "tlsa-bogus",
        "note",
        "below unsigned addresses, so this refuses nobody yet",
        lambda: not_asked(tlsa("bogus")),
        lambda: not_asked(tlsa("insecure", "NOERROR")),
    ),
    Case(
        "tlsa-lookup-failed",
        "error",
        "fails .SERVFAIL.",
        lambda: tlsa_failed(tlsa("indeterminate")),
        lambda: tlsa_failed(tlsa("indeterminate", "TIMEOUT")),
    ),
    Case("tlsa-lookup-failed", "note", "refuses nobody", lambda: not_asked(tlsa("indeterminate", "NOTIMP"))),
    Case(
        "tlsa-dropped",
        "error",
        "no answer, so senders",
        lambda: tlsa_failed(tlsa("indeterminate", "TIMEOUT")),
        lambda: tlsa_failed(tlsa("indeterminate")),
    ),
    Case("tlsa-dropped", "note", "refuses nobody", lambda: not_asked(tlsa("indeterminate", "TIMEOUT")), not_asked),
    Case(
        "tlsa-insecure",
        "error",
        "1 TLSA record at _25._tcp.mail.example.org. is not signed",
        lambda: report(endpoint(kind="insecure", records=[record(chain())])),
        lambda: report(endpoint(kind="none")),
    ),
    Case(
        "tlsa-insecure",
        "warning",
        "^what stands at _25._tcp",
        lambda: report(
            endpoint(tlsa=tlsa_state(HOST, kind="insecure", found=tlsa("insecure", "NOERROR", malformed=1)))
        ),
    ),
    Case("no-tlsa", "warning", "no TLSA records at _25._tcp.mail.example.org.", lambda: report(endpoint(kind="none"))),
    Case(
        "tlsa-at-domain",
        "error",
        "1 TLSA record at _25._tcp.example.org. is used by nobody.*mail.example.org",
        lambda: report(endpoint(kind="none"), beside=(looked_up(f"_25._tcp.{DOMAIN}", "TLSA", tlsa=(stale(),)),)),
        lambda: report(endpoint(kind="none"), beside=(looked_up(f"_25._tcp.{DOMAIN}", "TLSA"),)),
    ),
    Case(
        "tlsa-at-domain",
        "note",
        "used by nobody",
        lambda: report(endpoint(), beside=(looked_up(f"_25._tcp.{DOMAIN}", "TLSA", tlsa=(stale(),)),)),
        lambda: report(
            endpoint(DOMAIN, preference=None), beside=(looked_up(f"_25._tcp.{DOMAIN}", "TLSA", tlsa=(stale(),)),)
        ),
    ),
    Case(
        "tcp-nxdomain",
        "warning",
        "_tcp.mail.example.org does not exist",
        lambda: report(endpoint(), beside=(replace(TCP_EXISTS, rcode="NXDOMAIN"),)),
        lambda: report(endpoint(), beside=(TCP_EXISTS,)),
    ),
    Case(
        "nsec3-iterations",
        "warning",
        "150 NSEC3",
        lambda: by_mx(mx(HOST, warnings=("example.org has 150 NSEC3 iterations",))),
        lambda: by_mx(mx(HOST, warnings=("example.org is signed with RSASHA1 (algorithm 5)",))),
    ),
    Case(
        "outdated-signing",
        "warning",
        "RSASHA1",
        lambda: by_mx(mx(HOST, warnings=("example.org is signed with RSASHA1 (algorithm 5)",))),
        lambda: by_mx(mx(HOST, warnings=("example.org has 150 NSEC3 iterations",))),
    ),
    Case(
        "signature-expires-soon",
        "warning",
        "example.org MX ends on 2026-06-02 06:00 UTC",
        lambda: by_mx(mx(HOST, expires=AT + 0.75 * DAY)),
        lambda: by_mx(mx(HOST, expires=AT + 2.1 * DAY)),
    ),
    Case("signature-expires-soon", "note", "2026-06-03", lambda: by_mx(mx(HOST, expires=AT + 1.9 * DAY))),
    Case(
        "signature-expires-soon",
        "warning",
        "^192.0.2.53 serves signatures that end on",
        lambda: one_server(rrsig_expires=AT + 0.5 * DAY),
        lambda: one_server(rrsig_expires=AT + 5 * DAY),
    ),
)

SERVERS_SAY = (
    Case(
        "servers-differ",
        "error",
        "^192.0.2.53 serves 3 1 1 .*who asks there does not deliver",
        lambda: one_server(rdatas=(stale(),)),
        one_server,
    ),
    Case("servers-differ", "warning", "192.0.2.53 serves no TLSA records;", lambda: one_server(rdatas=())),
    Case(
        "server-silent",
        "warning",
        "^of 2 name servers for .* 1 gives no authoritative answer: 192.0.2.53 .it gave no answer",
        lambda: answered(silent=[SERVERS[0]]),
        answered,
    ),
    Case(
        "servers-not-asked", "note", "no zone", lambda: answered(silent=SERVERS, problem="no zone holds it"), answered
    ),
    Case(
        "signature-expired",
        "error",
        "^192.0.2.53 serves signatures that expired on 2026-05-31",
        lambda: one_server(rrsig_expires=AT - DAY),
        lambda: one_server(rrsig_expires=None),
    ),
    Case("ttl-differs", "note", "60.*s at 192.0.2.53 and 3600 s at", lambda: one_server(ttl=600), answered),
    Case("ttl-unexpected", "warning", "is 3600 s, and the config asks for 1800 s", answered, ttls={OWNER: 1800}),
    Case("ttl-too-long", "warning", "172800 s .2 days", lambda: one_server(ttl=172800), lambda: one_server(ttl=86400)),
    Case("ttl-too-short", "note", "is 60 s", lambda: one_server(ttl=60), lambda: one_server(ttl=300)),
    Case("wildcard-tlsa", "warning", "wildcard", lambda: one_server(wildcard=True), answered),
    Case("wildcard-host", "note", "take its address away", lambda: answered(host_wildcard=True), answered),
)
