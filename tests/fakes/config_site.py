"""A place with the files that a config names, for the tests of config: nothing of the host's is read."""

from pathlib import Path

EXAMPLE = """\
state_dir = "state"
lookup_margin = "15m"
history = "1d"

[acme.letsencrypt]
directory = "letsencrypt"
contact = ["igor@example.org"]
agree_tos = true

[resolver]
address = "127.0.0.1"
port = 53
trust_anchor = "root.ds"

[serve]
allow = ["192.168.0.0/16", "fd00::/8"]
proxies = ["127.0.0.1"]

[dns.home]
type = "rfc2136"
server = "192.0.2.53"
port = 5353
zone = "example.org"
tsig_key = "Kexample.org.+165+12345.private"

[certificate."example.org"]
names = ["example.org", "mail.example.org", "www.example.org"]
key = "private/example_org.pem"
key_type = "rsa2048"
subject = { common_name = "example.org", email = "igor@example.org" }
acme = ["letsencrypt"]
challenge = "http-01"
http01 = { listen = ["0.0.0.0:80", "[::]:80"] }
pre_challenge = ["systemctl", "stop", "apache2"]
post_challenge = ["systemctl", "start", "apache2"]
timeout = "90s"
rollover = "365d"
next_key = true
settle = "24h"
retired_keys = "archive"

[[certificate."example.org".tlsa]]
hosts = ["mail.example.org"]
ports = [25, 465, 587, 993, 995, { port = 2525, protocol = "smtp" }]
records = ["3 1 1"]
dns = "home"
ttl = 3600
wait = "strict"
prune = true

[[certificate."example.org".deploy]]
combined = { path = "etc/postfix.pem", parts = ["key", "cert", "chain"], mode = "0600", owner = "root" }
reload = ["postfix", "reload"]
prove = ["mail.example.org:25", "mail.example.org:465", "mail.example.org:587", "mail.example.org:2525"]

[[certificate."example.org".deploy]]
combined = { path = "etc/imapd.pem", parts = ["cert", "key", "chain"], mode = "0600", owner = "courier" }
reload = ["systemctl", "restart", "courier-imap-ssl", "courier-pop-ssl"]
prove = ["mail.example.org:993", "mail.example.org:995"]

[[certificate."example.org".deploy]]
fullchain = "etc/example.org.pem"
key = { path = "etc/live.key", mode = "0640", group = "ssl-cert" }
test = ["true"]
reload = ["systemctl", "reload", "prosody"]
timeout = "2m"
addresses = ["192.0.2.25"]
prove = ["example.org:443", { connect = "127.0.0.1:8443", name = "www.example.org", protocol = "https" }]

[connect]
"mail.example.org:25" = "127.0.0.25:2525"
"203.0.113.7:25" = "127.0.0.25:2525"

[authoritative]
"example.org" = ["127.0.53.1:53", "127.0.53.2:53"]
"""
"""The example of the design, without what is not yet supported, and with paths below the config's folder."""

SCENARIO = """\
[acme.letsencrypt]
contact = ["igor@example.org"]
agree_tos = true

[dns.primary]
server = "192.0.2.53"
tsig_key = "Kexample.org.+165+12345"

[certificate."example.org"]
names = ["example.org", "mail.example.org", "blog.example.org", "second.example.net", "www.example.org"]
key = "private/example_org.pem"
subject = { country = "DE", state = "Hessen", locality = "Kassel", organization = "", common_name = "example.org" }
http01 = { webroot = "www" }

[[certificate."example.org".tlsa]]
hosts = ["mail.example.org"]
prune = ["3 0 1 ABABABAB abababababababababababababababababababababababababababab"]

[[certificate."example.org".deploy]]
cert = "etc/apache.crt"
chain = "etc/apache-chain.crt"
key = { path = "etc/apache.key", mode = "0600" }
test = ["apache2ctl", "configtest"]
reload = ["systemctl", "reload", "apache2"]
prove = ["www.example.org:443", "blog.example.org:443"]

[[certificate."example.org".deploy]]
combined = { path = "etc/postfix.pem", parts = ["key", "cert", "chain"], mode = "0600" }
test = ["postfix", "check"]
reload = ["postfix", "reload"]
prove = ["mail.example.org:25"]

[[certificate."example.org".deploy]]
combined = { path = "etc/imapd.pem", parts = ["cert", "key", "chain"], mode = "0600", owner = "courier" }
reload = ["systemctl", "restart", "courier-imap-ssl", "courier-pop-ssl"]
prove = ["mail.example.org:993", "mail.example.org:995"]
"""
"""The site of the chain of hand-made steps: Apache, Postfix, Courier, and a stale record of the old certificate."""

SMALLEST = """\
[acme.letsencrypt]
agree_tos = true

[dns.home]
tsig_key = "Kexample.org.+165+12345"

[certificate."example.org"]
names = ["mail.example.org"]

[[certificate."example.org".tlsa]]

[[certificate."example.org".deploy]]
combined = { path = "etc/postfix.pem", parts = ["key", "cert", "chain"] }
reload = ["postfix", "reload"]
prove = ["mail.example.org:25"]
"""
"""A whole set-up in as few words as there can be."""


def make_site(folder: Path, config: str = EXAMPLE) -> str:
    """Write a config and the files that `EXAMPLE` names; return the config's path."""
    secrets = ("private/example_org.pem", "Kexample.org.+165+12345.private", "Kexample.org.+165+12345.key")
    for name in secrets:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("not read by config\n")
        path.chmod(0o600)
    for name in ("root.ds", "pebble.pem"):
        (folder / name).write_text("not read by config\n")
    for name in ("etc", "www"):
        (folder / name).mkdir(exist_ok=True)
    path = folder / "danelaw.toml"
    path.write_text(config)
    return str(path)
