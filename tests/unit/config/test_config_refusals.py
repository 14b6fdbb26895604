"""Each way of getting a config wrong that we know of: one row each, against the example of the design."""

import re
from pathlib import Path

import pytest

from danelaw.config import load
from danelaw.errors import ConfigError, Problem
from fakes.config_site import EXAMPLE, make_site

CERTIFICATE = 'certificate."example.org"'
FIRST_DEPLOY = '[[certificate."example.org".deploy]]\ncombined = { path = "etc/postfix.pem"'


def problems_of(folder: Path, config: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(make_site(folder, config))
    for problem in caught.value.problems:
        assert problem.file
        assert problem.where
        assert problem.found
        assert problem.expected
    return caught.value.problems


def replaced(old: str, new: str) -> str:
    assert EXAMPLE.count(old) == 1, f"{old!r} stands {EXAMPLE.count(old)} times in the example"
    return EXAMPLE.replace(old, new)


NAMES = 'names = ["example.org", "mail.example.org", "www.example.org"]'
TTL = "ttl = 3600"
PORTS = 'ports = [25, 465, 587, 993, 995, { port = 2525, protocol = "smtp" }]'
HTTP01 = 'http01 = { listen = ["0.0.0.0:80", "[::]:80"] }'
PRUNE = "prune = true"
TYPE = 'type = "rfc2136"'
KEY = 'key = "private/example_org.pem"'
ROLLOVER = 'rollover = "365d"'
RELOAD = 'reload = ["postfix", "reload"]'
COMBINED = 'combined = { path = "etc/postfix.pem", parts = ["key", "cert", "chain"], mode = "0600", owner = "root" }'
PROVE = 'prove = ["mail.example.org:993", "mail.example.org:995"]'
TABLE_PROOF = '{ connect = "127.0.0.1:8443", name = "www.example.org", protocol = "https" }'
FILE_KEY = 'key = { path = "etc/live.key", mode = "0640", group = "ssl-cert" }'


# (old text, new text, where, what stands in found, what stands in expected)
ROWS = [
    # -- types and unknown keys
    (TTL, "tll = 3600", "tlsa[0].tll", "unknown key (did you mean ttl?)", "one of dns, external, hosts, ports"),
    (TTL, 'ttl = "3600"', "tlsa[0].ttl", '"3600"', "without quotes"),
    (TTL, "ttl = true", "tlsa[0].ttl", "true", "a whole number"),
    (TTL, "ttl = 0", "tlsa[0].ttl", "0", "1 to 86400"),
    (TTL, "ttl = 86401", "tlsa[0].ttl", "86401", "1 to 86400"),
    (TTL, "ttl = 2020-01-01", "tlsa[0].ttl", "2020-01-01", "a whole number"),
    (NAMES, "names = []", "names", "an empty list", "a list such as"),
    (NAMES, 'names = "example.org"', "names", '"example.org"', "a list such as"),
    (NAMES, "", "names", "nothing", "the DNS names"),
    (NAMES, 'names = ["example.org", 3]', "names[1]", "3", "a DNS name in quotes"),
    (NAMES, 'names = ["example.org", "ex ample.org"]', "names[1]", '"ex ample"', "a DNS name"),
    (NAMES, 'names = ["example.org", "192.0.2.1"]', "names[1]", "IP address", "a DNS name"),
    (NAMES, 'names = ["example.org", "*.example.org"]', "names[1]", "not yet supported", "each name by itself"),
    ('key_type = "rsa2048"', 'key_type = "rsa1024"', "key_type", '"rsa1024" (did you mean', '"p256"'),
    ('key_type = "rsa2048"', "key_type = 2048", "key_type", "2048", '"rsa2048"'),
    ('timeout = "90s"', "timeout = 90", "timeout", "90", '"90s"'),
    ('timeout = "90s"', 'timeout = "90"', "timeout", '"90"', "a duration"),
    ('timeout = "90s"', 'timeout = "0s"', "timeout", '"0s"', "1s to 3650d"),
    ('timeout = "90s"', 'timeout = "999999999w"', "timeout", '"999999999w"', "1s to 3650d"),
    (TTL, 'ttl = 3600\nstate_dir = "x"', "tlsa[0].state_dir", "not this table's", "before the first table"),
    # -- files
    (KEY, 'key = "private/other.pem"', "key", "private/other.pem: No such file", "that is there"),
    (KEY, 'key = "private"', "key", "which is no file", "a file"),
    (KEY, 'key = "root.ds"', "key", "mode 0644, open to everybody", "chmod o-rwx"),
    (KEY, 'key = "~/key.pem"', "key", '"~/key.pem"', "no shell expands"),
    (KEY, 'key = ""', "key", '""', "text in quotes"),
    ('trust_anchor = "root.ds"', 'trust_anchor = "none.ds"', "resolver.trust_anchor", "No such file", "is there"),
    (
        'tsig_key = "Kexample.org.+165+12345.private"',
        'tsig_key = "Kother.+165+1"',
        "dns.home.tsig_key",
        "No such",
        "is there",
    ),
    (
        'tsig_key = "Kexample.org.+165+12345.private"',
        'tsig_key = "root.ds"',
        "dns.home.tsig_key",
        "open to everybody",
        "chmod o-rwx",
    ),
    # -- contradictions within a certificate
    ('dns = "home"', 'dns = "hmoe"', "tlsa[0].dns", '"hmoe", which is not defined (did you mean home?)', "one of home"),
    ('acme = ["letsencrypt"]', 'acme = ["lets"]', "acme[0]", '"lets", which is not defined', "one of letsencrypt"),
    ('acme = ["letsencrypt"]', 'acme = "letsencrypt"', "acme", '"letsencrypt"', "a list such as"),
    ('acme = ["letsencrypt"]', 'acme = ["letsencrypt", "letsencrypt"]', "acme", "not yet supported", "one: ["),
    ("agree_tos = true", "agree_tos = false", "acme.letsencrypt.agree_tos", "false", "true, once you have"),
    ("agree_tos = true", "", "acme.letsencrypt.agree_tos", "nothing", "true, once you have"),
    (
        'directory = "letsencrypt"',
        'directory = "letsencript"',
        "acme.letsencrypt.directory",
        "did you mean",
        "https://",
    ),
    (
        'directory = "letsencrypt"',
        'directory = "http://ca.test/dir"',
        "acme.letsencrypt.directory",
        '"http:',
        "https://",
    ),
    (
        'contact = ["igor@example.org"]',
        'contact = ["mailto:igor@example.org"]',
        "acme.letsencrypt.contact[0]",
        '"mailto:',
        "alone",
    ),
    ('contact = ["igor@example.org"]', 'contact = ["igor"]', "acme.letsencrypt.contact[0]", '"igor"', "an e-mail"),
    (HTTP01, 'http01 = { webroot = "nowhere" }', "http01.webroot", "No such file", "is there"),
    (HTTP01, 'http01 = { webroot = "root.ds" }', "http01.webroot", "which is no folder", "a folder"),
    (HTTP01, "http01 = { webroot = [] }", "http01.webroot", "an empty list", "a list such as"),
    (HTTP01, 'http01 = { webroot = ["www", "nowhere"] }', "http01.webroot[1]", "No such file", "is there"),
    (HTTP01, 'http01 = { webroot = ["www", "./www"] }', "http01.webroot", "www twice", "each folder once"),
    (
        HTTP01,
        'http01 = { webroot = { "blog.example.org" = "www", "*" = "/var/www" } }',
        "http01.webroot",
        "a table",
        'below each folder for every name: ["www", "/var/www"]',
    ),
    (
        HTTP01,
        'http01 = { webroot = "www", listen = ["0.0.0.0:80"] }',
        "http01.listen",
        "webroot and listen",
        "one of them",
    ),
    (HTTP01, "http01 = { listen = [80] }", "http01.listen[0]", "80", "an address and a port"),
    (HTTP01, 'http01 = { listen = ["80"] }', "http01.listen[0]", "no port", "an address and a port"),
    (HTTP01, 'http01 = { listen = [":80"] }', "http01.listen[0]", "empty", "an address and a port"),
    (HTTP01, 'http01 = { listen = ["localhost:80"] }', "http01.listen[0]", "a name", "an address and a port"),
    (HTTP01, 'http01 = { listen = ["::1:80"] }', "http01.listen[0]", "IPv6", "an address and a port"),
    (HTTP01, 'http01 = { listen = ["[::1]:80", "[0::1]:80"] }', "http01.listen", "twice", "each once"),
    (HTTP01, 'http01 = "/var/www"', "http01", '"/var/www"', "a table such as"),
    (
        'pre_challenge = ["systemctl", "stop", "apache2"]',
        "",
        "pre_challenge",
        "nothing, beside post",
        "both or neither",
    ),
    ('post_challenge = ["systemctl", "start", "apache2"]', "", "post_challenge", "nothing, beside pre", "both or"),
    (
        'pre_challenge = ["systemctl", "stop", "apache2"]',
        "pre_challenge = \"systemctl stop 'my apache'\"",
        "pre_challenge",
        '"systemctl stop',
        '["systemctl", "stop", "my apache"]',
    ),
    (
        'pre_challenge = ["systemctl", "stop", "apache2"]',
        'pre_challenge = "stop \'"',
        "pre_challenge",
        "stop",
        "arguments",
    ),
    ('pre_challenge = ["systemctl", "stop", "apache2"]', "pre_challenge = []", "pre_challenge", "an empty", "a list"),
    (
        'pre_challenge = ["systemctl", "stop", "apache2"]',
        'pre_challenge = [""]',
        "pre_challenge",
        "an empty",
        "a program",
    ),
    (
        'subject = { common_name = "example.org"',
        'subject = { common_name = "other.org"',
        "common_name",
        "not among",
        "one of",
    ),
    ('subject = { common_name = "example.org"', 'subject = { country = "de"', "subject.country", '"de"', "two capital"),
    (
        'subject = { common_name = "example.org"',
        'subject = { CN = "example.org"',
        "subject.CN",
        "unknown",
        "common_name",
    ),
    (
        'subject = { common_name = "example.org"',
        f'subject = {{ state = "{"x" * 129}"',
        "subject.state",
        "129",
        "at most 128",
    ),
    # -- tlsa
    (PORTS, "ports = [25, 2525]", "tlsa[0].ports[1]", "does not say how TLS starts", "{ port = 2525"),
    (PORTS, "ports = [25, 70000]", "tlsa[0].ports[1]", "70000", "1 to 65535"),
    (PORTS, "ports = 25", "tlsa[0].ports", "25", "a list such as"),
    (PORTS, "ports = []", "tlsa[0].ports", "an empty list", "a list such as"),
    (PORTS, "ports = [25, 25]", "tlsa[0].ports[1]", "second time", "each port once"),
    (PORTS, 'ports = [{ port = 25, protocol = "esmtp" }]', "ports[0].protocol", "did you mean smtp?", '"smtp"'),
    (PORTS, 'ports = [{ protocol = "smtp" }]', "tlsa[0].ports[0].port", "nothing", "a port"),
    (PORTS, "ports = [25, 110]", "tlsa[0]", "mail.example.org:110, which no deployment proves", "in the prove"),
    ('hosts = ["mail.example.org"]', 'hosts = ["www.example.org"]', "tlsa[0]", "www.example.org:25, which no", "prove"),
    ('hosts = ["mail.example.org"]', 'hosts = ["*.example.org"]', "tlsa[0].hosts[0]", "wildcard", "a DNS name"),
    ('records = ["3 1 1"]', 'records = ["4 1 1"]', "tlsa[0].records[0]", "no client knows", "usage 0 to 3"),
    ('records = ["3 1 1"]', 'records = ["3 2 1"]', "tlsa[0].records[0]", "no client knows", "selector 0 or 1"),
    ('records = ["3 1 1"]', 'records = ["3 1 3"]', "tlsa[0].records[0]", "no client knows", "matching type 0 to 2"),
    ('records = ["3 1 1"]', 'records = ["1 1 1"]', "tlsa[0].records", "at port 25, where no sender of mail", '"3 1 1"'),
    ('records = ["3 1 1"]', 'records = ["0 0 1"]', "tlsa[0].records", "at port 25, where no sender of mail", '"2 0 1"'),
    ('records = ["3 1 1"]', 'records = ["311"]', "tlsa[0].records[0]", '"311"', "usage, selector"),
    ('records = ["3 1 1"]', "records = []", "tlsa[0].records", "an empty list", "a list"),
    (PRUNE, 'prune = "yes"', "tlsa[0].prune", '"yes"', "true, false, or"),
    (PRUNE, 'prune = ["3 0 1"]', "tlsa[0].prune[0]", '"3 0 1"', "in full"),
    (PRUNE, 'prune = ["3 0 1 abc"]', "tlsa[0].prune[0]", '"3 0 1 abc"', "in full"),
    (PRUNE, 'prune = ["3 0 256 ab"]', "tlsa[0].prune[0]", '"3 0 256 ab"', "in full"),
    # -- deployments
    (RELOAD, "", "deploy[0].reload", "nothing", "the command that reloads"),
    (RELOAD, 'reload = "postfix reload"', "deploy[0].reload", '"postfix reload"', '["postfix", "reload"]'),
    (PROVE, "", "deploy[1].prove", "nothing", "what shows"),
    (PROVE, "prove = []", "deploy[1].prove", "an empty list", "what shows"),
    (PROVE, 'prove = "mail.example.org:993"', "deploy[1].prove", '"mail', "a list such as"),
    (PROVE, 'prove = ["mail.example.org"]', "deploy[1].prove[0]", "has no port", "a host and a port"),
    (PROVE, 'prove = ["192.0.2.1:993"]', "deploy[1].prove[0]", "an address", "connect ="),
    (PROVE, 'prove = ["mail.example.org:26"]', "deploy[1].prove[0]", "does not say", "{ name ="),
    (PROVE, 'prove = ["mail.example.org:993", "MAIL.example.org:993"]', "deploy[1].prove[1]", "second time", "once"),
    (TABLE_PROOF, '{ connect = "127.0.0.1:8443", protocol = "https" }', "deploy[2].prove[1].name", "nothing", "SNI"),
    (TABLE_PROOF, '{ name = "www.example.org", protocol = "https" }', "prove[1].connect", "neither", "one of them"),
    (TABLE_PROOF, '{ connect = "127.0.0.1:8443", name = "www.example.org", port = 443 }', "connect", "both", "one of"),
    (TABLE_PROOF, '{ connect = "127.0.0.1:8443", name = "www.example.org" }', "prove[1]", "does not say", "protocol"),
    (TABLE_PROOF, '{ name = "mail.example.org", port = 25, protocol = "tls" }', "prove[1]", "where certificate", "one"),
    (COMBINED, "", "deploy[0].fullchain", "no file in this deployment", "one of combined"),
    (COMBINED, 'combined = "etc/postfix.pem"', "deploy[0].combined", '"etc/postfix.pem"', "parts ="),
    (COMBINED, 'combined = { path = "etc/postfix.pem" }', "combined.parts", "nothing", "in order"),
    (COMBINED, 'combined = { path = "etc/postfix.pem", parts = [] }', "combined.parts", "an empty list", '["cert"'),
    (COMBINED, 'combined = { path = "etc/postfix.pem", parts = ["crt"] }', "parts[0]", '"crt" (did you', '"cert"'),
    (COMBINED, 'combined = { path = "etc/p.pem", parts = ["fullchain"] }', "parts[0]", "fullchain", '"cert", "chain"'),
    (COMBINED, 'combined = { path = "etc/p.pem", parts = ["cert", "cert"] }', "combined.parts", "twice", "once"),
    (COMBINED, 'combined = { parts = ["cert", "key"] }', "combined.path", "nothing", "a path"),
    (COMBINED, 'combined = { path = "etc", parts = ["cert", "key"] }', "combined.path", "a folder", "of a file"),
    (COMBINED, 'key = "etc/postfix.key"', "deploy[0].fullchain", "no file that holds the certificate", "one of cert"),
    (FILE_KEY, 'key = { path = "etc/live.key", mode = 640 }', "key.mode", "640", '"0640"'),
    (FILE_KEY, 'key = { path = "etc/live.key", mode = "0888" }', "key.mode", '"0888"', '"0640"'),
    (FILE_KEY, 'key = { path = "etc/live.key", mode = "4640" }', "key.mode", '"4640"', '"0640"'),
    (FILE_KEY, 'key = { path = "etc/live.key", mode = "0644" }', "key.mode", "private key", "closed to others"),
    (FILE_KEY, 'key = { path = "etc/live.key", owner = 0 }', "key.owner", "0", "a user or group"),
    (FILE_KEY, 'key = { path = "etc/live.key", grp = "x" }', "key.grp", "unknown", "one of group, mode, owner, path"),
    (FILE_KEY, 'key = "private/example_org.pem"', "deploy[2].key", "which is never written", "does not read"),
    (FILE_KEY, 'key = "danelaw.toml"', "deploy[2].key", "the config itself", "does not read"),
    (FILE_KEY, 'key = "state/x/live.key"', "deploy[2].key", "in the state_dir", "outside"),
    (FILE_KEY, 'key = "etc/../etc/imapd.pem"', "deploy[2].key", "deploy[1].combined writes too", "of its own"),
    (FILE_KEY, "key = 5", "deploy[2].key", "5", "a file such as"),
    ('addresses = ["192.0.2.25"]', 'addresses = ["mail.example.org"]', "deploy[2].addresses[0]", '"mail', "an IP"),
    # -- the waits, and what is elsewhere
    ('wait = "strict"', "wait = true", "tlsa[0].wait", "true", '"strict", or no wait'),
    ('wait = "strict"', 'wait = "ttl"', "tlsa[0].wait", '"ttl"', '"strict", or no wait'),
    ('wait = "strict"', 'wait = "Strict"', "tlsa[0].wait", '"Strict"', '"strict", or no wait'),
    ('wait = "strict"', 'external = "yes"', "tlsa[0].external", '"yes"', "true or false"),
    ('wait = "strict"', "external = true", "tlsa[0]", "mail.example.org:25, external, where certificate", "one of"),
    # -- rollovers
    (ROLLOVER, "rollover = 365", "rollover", "365", '"365d": a number and one of h, d, w'),
    (ROLLOVER, 'rollover = "365"', "rollover", '"365"', "a number and one of h, d, w"),
    (ROLLOVER, 'rollover = "Never"', "rollover", '"Never"', 'or "never"'),
    (ROLLOVER, 'rollover = ""', "rollover", '""', 'or "never"'),
    (ROLLOVER, 'rollover = "-1d"', "rollover", '"-1d"', "a number and one of h, d, w"),
    (ROLLOVER, 'rollover = "1440m"', "rollover", '"1440m"', "a number and one of h, d, w"),
    (ROLLOVER, 'rollover = "23h"', "rollover", '"23h", less than a day', "waits for every cache"),
    (ROLLOVER, 'rollover = "0d"', "rollover", '"0d", less than a day', '"1d" or longer'),
    (ROLLOVER, 'rollover = "999999999w"', "rollover", '"999999999w"', "3650d"),
    (ROLLOVER, "rollover = true", "rollover", "true", 'or "never"'),
    ("next_key = true", 'next_key = "yes"', "next_key", '"yes"', "true or false"),
    ('settle = "24h"', "settle = 24", "settle", "24", "a duration"),
    ('settle = "24h"', 'settle = "366d"', "settle", "366 days, longer than rollover", "a shorter one"),
    ('retired_keys = "archive"', 'retired_keys = "delete"', "retired_keys", '"delete"', '"archive", "shred"'),
    (
        'retired_keys = "archive"',
        'retired_keys = "shreds"',
        "retired_keys",
        "did you mean shred?",
        '"archive", "shred"',
    ),
    (COMBINED, COMBINED.replace('"key", ', ""), "deploy[0]", "without the key, beside rollover", "a key file here"),
    # -- around
    (TYPE, 'type = "powerdns"', "dns.home.type", "not yet supported", '"rfc2136"'),
    (TYPE, 'type = "nsupdate"', "dns.home.type", '"nsupdate"', '"rfc2136"'),
    ('server = "192.0.2.53"', 'server = "192.0.2.53:53"', "dns.home.server", "192.0.2.53:53", "its port goes into"),
    ("port = 5353", "port = 0", "dns.home.port", "0", "1 to 65535"),
    ('zone = "example.org"', 'zone = "exa mple"', "dns.home.zone", "exa mple", "a DNS name"),
    ('address = "127.0.0.1"', "", "resolver.port", "without an address", "address too"),
    ('address = "127.0.0.1"', 'address = "localhost"', "resolver.address", '"localhost"', "an IP address"),
    ('"192.168.0.0/16"', '"192.168.0.1/16"', "serve.allow[0]", '"192.168.0.1/16"', "without host bits"),
    ('"fd00::/8"', '"localhost"', "serve.allow[1]", '"localhost"', "a network"),
    ('proxies = ["127.0.0.1"]', 'proxies = "127.0.0.1"', "serve.proxies", '"127.0.0.1"', "a list such as"),
    ('lookup_margin = "15m"', "lookup_margin = 15", "lookup_margin", "15", '"15s"'),
    ('state_dir = "state"', 'state_dir = "root.ds"', "state_dir", "which is no folder", "a folder"),
    ('history = "1d"', 'histroy = "1d"', "histroy", "did you mean history?", "one of"),
    ('"203.0.113.7:25" = "127.0.0.25:2525"', '"203.0.113.7" = "127.0.0.25:2525"', "connect", "has no port", "a key"),
    ('"203.0.113.7:25" = "127.0.0.25:2525"', '"203.0.113.7:25" = "127.0.0.25"', "connect", "has no port", "an address"),
    ('"203.0.113.7:25" = "127.0.0.25:2525"', '"Mail.example.org:25" = "[::1]:1"', "connect", "second time", "once"),
    ('["127.0.53.1:53", "127.0.53.2:53"]', '"127.0.53.1:53"', 'authoritative."example.org"', '"127', "a list such as"),
    ('["127.0.53.1:53", "127.0.53.2:53"]', "[]", 'authoritative."example.org"', "an empty list", "a list such as"),
    # -- not yet there
    (RELOAD, 'services = ["postfx"]', "deploy[0].services[0]", "did you mean postfix?", "by hand"),
    ("agree_tos = true", 'agree_tos = true\neab = { kid = "x" }', "acme.letsencrypt.eab", "not yet supported", "a CA"),
    ('challenge = "http-01"', 'challenge = "dns-01"', "challenge", "not yet supported", '"http-01"'),
    ('challenge = "http-01"', 'challenge = "tls-alpn-01"', "challenge", "not yet supported", '"http-01"'),
    ('challenge = "http-01"', 'challenge = { "a.org" = "dns-01" }', "challenge", "not yet supported", '"http-01"'),
    ('challenge = "http-01"', 'challenge = "http"', "challenge", '"http"', '"http-01"'),
    *(
        (NAMES, f"{NAMES}\n{key} = {value}", f"{CERTIFICATE}.{key}", f"{key}, which is not yet supported", expected)
        for key, value, expected in (
            ("profile", '"tlsserver"', "remove it"),
            ("dns01", '{ dns = "home" }', "http-01"),
        )
    ),
]


@pytest.mark.parametrize(("old", "new", "where", "found", "expected"), ROWS)
def test_a_fault_is_refused_in_words(tmp_path: Path, old: str, new: str, where: str, found: str, expected: str) -> None:
    problems = problems_of(tmp_path, replaced(old, new))
    matching = [p for p in problems if where in p.where and found in p.found and expected in p.expected]
    assert matching, "\n".join(map(str, problems))
    assert all(str(p).isprintable() and len(str(p)) < 500 for p in problems)


def test_a_single_fault_gives_a_single_problem(tmp_path: Path) -> None:
    """What only follows from a fault is not reported beside it."""
    single = [
        (TTL, "tll = 3600"),
        (NAMES, 'names = ["example.org", "mail.example.org", 3]'),
        (KEY, 'key = "private/other.pem"'),
        ('dns = "home"', 'dns = "hmoe"'),
        (PORTS, "ports = [25, 465, 587, 993, 995, 2525]"),
        (PROVE, 'prove = ["mail.example.org:993", "mail.example.org"]'),
        (COMBINED, 'combined = "etc/postfix.pem"'),
        (FILE_KEY, "key = 5"),
        (RELOAD, ""),
        (RELOAD, 'services = ["postfix"]'),
    ]
    for old, new in single:
        problems = problems_of(tmp_path, replaced(old, new))
        assert len(problems) == 1, (new, problems)


def test_all_problems_come_together_each_with_its_place(tmp_path: Path) -> None:
    config = replaced(TTL, 'ttl = "1h"').replace(NAMES, 'nmaes = ["example.org"]').replace('dns = "home"', "dns = 1")
    config = config.replace("agree_tos = true", "").replace(RELOAD, 'reload = "postfix reload"')
    config = config.replace(FILE_KEY, 'key = "etc/imapd.pem"')
    problems = problems_of(tmp_path, config)
    assert [p.where for p in problems] == [
        "acme.letsencrypt.agree_tos",
        f"{CERTIFICATE}.names",
        f"{CERTIFICATE}.deploy[0].reload",
        f"{CERTIFICATE}.tlsa[0].dns",
        f"{CERTIFICATE}.tlsa[0].ttl",
        f"{CERTIFICATE}.nmaes",
        f"{CERTIFICATE}.deploy[2].key",
    ]
    assert {p.file for p in problems} == {str(tmp_path / "danelaw.toml")}
    assert re.search(
        r'danelaw\.toml: certificate\."example\.org"\.tlsa\[0\]\.ttl: found "1h"; expected a whole',
        "\n".join(map(str, problems)),
    )


def test_a_secret_in_the_config_is_not_repeated(tmp_path: Path) -> None:
    leaked = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    for value in (leaked, f"hmac-sha256:{leaked}=", f"hmac-sha256:home:{leaked}"):
        problems = problems_of(
            tmp_path, replaced('tsig_key = "Kexample.org.+165+12345.private"', f'tsig_key = "{value}"')
        )
        assert leaked not in str(problems)
    pem = '"""-----BEGIN PRIVATE KEY-----\nhunter2\n"""'
    assert "hunter2" not in str(problems_of(tmp_path, replaced(KEY, f"key = {pem}")))
    assert "hunter2" not in str(problems_of(tmp_path, replaced(TYPE, f'{TYPE}\nsecret = "hunter2"')))


def test_a_pair_of_bind_files_is_closed_in_both_halves(tmp_path: Path) -> None:
    path = make_site(tmp_path)
    for spelling in ("", ".key", ".private"):
        (tmp_path / "danelaw.toml").write_text(replaced("+12345.private", f"+12345{spelling}"))
        assert load(path).publishers["home"].tsig_key == str(tmp_path / f"Kexample.org.+165+12345{spelling}")
    (tmp_path / "Kexample.org.+165+12345.key").chmod(0o644)
    with pytest.raises(ConfigError, match=r"\.key with mode 0644, open to everybody; expected .* chmod o-rwx"):
        load(path)


def test_a_key_that_danelaw_makes_must_reach_a_service(tmp_path: Path) -> None:
    config = replaced(KEY, "").replace('"key", "cert", "chain"', '"cert"').replace('"cert", "key", "chain"', '"cert"')
    config = config.replace(ROLLOVER, "").replace("next_key = true", "")  # each table would need the key for one
    assert load(make_site(tmp_path, config)).desired.certificates[0].key is None
    problems = problems_of(tmp_path, config.replace(FILE_KEY, ""))
    assert [p.where for p in problems] == [f"{CERTIFICATE}.deploy"]
    assert "no file that holds the key" in problems[0].found


def test_the_publisher_may_be_left_out_where_there_is_one(tmp_path: Path) -> None:
    config = replaced('dns = "home"', "")
    assert {c.publisher for c in load(make_site(tmp_path, config)).desired.certificates[0].claims} == {"home"}
    problems = problems_of(tmp_path, config + "[dns.other]\n")
    assert [(p.where, p.found) for p in problems] == [(f"{CERTIFICATE}.tlsa[0].dns", "nothing, among 2 publishers")]
    none = re.sub(r"\[dns\.home\].*?\n\n", "", config, flags=re.DOTALL)
    assert "no publisher is defined" in str(problems_of(tmp_path, none))


def test_an_endpoint_is_claimed_once_in_a_certificate(tmp_path: Path) -> None:
    again = '\n[[certificate."example.org".tlsa]]\nhosts = ["mail.example.org"]\nports = [25]\nwait = "strict"\n'
    again += "prune = true\n"
    config = EXAMPLE.replace("\n[connect]", again + "\n[connect]")
    assert len(load(make_site(tmp_path, config)).desired.certificates[0].claims) == 6
    for other in ("ttl = 1800", 'records = ["3 1 1", "3 1 2"]', "prune = false", "external = true", "# not strict"):
        changed = again.replace("prune = true\n", "") if "prune" in other else again
        changed = changed.replace('wait = "strict"\n', "") if "strict" in other else changed
        problems = problems_of(tmp_path, EXAMPLE.replace("\n[connect]", changed + other + "\n\n[connect]"))
        assert [p.where for p in problems] == [f"{CERTIFICATE}.tlsa[1]"], problems
        assert "mail.example.org:25 for the second time" in problems[0].found


def test_a_proof_at_one_address_proves_no_claim(tmp_path: Path) -> None:
    pinned = '{ connect = "127.0.0.1:993", name = "mail.example.org" }, "mail.example.org:995"'
    problems = problems_of(tmp_path, replaced(PROVE, f"prove = [{pinned}]"))
    assert [p.found for p in problems] == ["mail.example.org:993, proven at 127.0.0.1 alone"]


def test_certificates_and_no_ca(tmp_path: Path) -> None:
    config = re.sub(r"\[acme\.letsencrypt\].*?\n\n", "", EXAMPLE, flags=re.DOTALL).replace('acme = ["letsencrypt"]', "")
    assert [p.where for p in problems_of(tmp_path, config)] == ["acme"]
    empty = load(make_site(tmp_path, ""))  # what `withdraw` needs when the last certificate has gone
    assert empty.desired.certificates == ()
    assert [w.where for w in empty.warnings] == ["certificate"]


def test_names_of_tables(tmp_path: Path) -> None:
    for old, new in (
        ("[dns.home]", '[dns."../x"]'),
        ("[acme.letsencrypt]", '[acme."a b"]'),
        ("[dns.home]", '[dns.""]'),
    ):
        found = [p.found for p in problems_of(tmp_path, replaced(old, new))]
        assert any(each.startswith("the name ") for each in found), found
    problems = problems_of(tmp_path, EXAMPLE + '\n[certificate."a/b"]\nnames = ["a.org"]\n')
    assert [(p.where, p.found) for p in problems] == [('certificate."a/b"', 'the name "a/b"')]


def test_sections_that_are_no_tables(tmp_path: Path) -> None:
    for line in ("acme = 1", 'dns = ["x"]', "certificate = true", 'resolver = "127.0.0.1"', "connect = []"):
        problems = problems_of(tmp_path, line + "\n")
        assert "a table" in problems[0].expected
    for line in (
        "acme.x = 1",
        "dns.x = []",
        "certificate.x = 1",
        "certificate.x.tlsa = 1",
        "certificate.x.deploy = [1]",
    ):
        assert problems_of(tmp_path, line + "\n")


def test_a_name_with_dots_needs_quotes(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, EXAMPLE.replace('certificate."example.org"', "certificate.example.org"))
    assert [p.where for p in problems] == ["certificate.example"]
    assert "the name example.org without quotes" in problems[0].found
    assert '[certificate."example.org"]' in problems[0].expected


def test_tables_nested_without_end_are_refused_in_words(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, f"[certificate{'.a' * 5000}]\n")
    assert ("certificate.a.a", "an unknown key") in {(p.where, p.found) for p in problems}
