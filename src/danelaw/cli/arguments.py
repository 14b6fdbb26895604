"""Every command and option, as design.md fixes them."""

import argparse
from typing import Any

from danelaw import __version__
from danelaw.config.files import DEFAULT_PATH

NAME_HELP = "a certificate's name in the config; default: all"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="danelaw",
        description="Keeps key, certificate, TLSA records and live services in agreement, at every instant.",
    )
    top.add_argument("--version", action="version", version=f"danelaw {__version__}")
    top.add_argument("--config", default=DEFAULT_PATH, metavar="FILE", help=f"default: {DEFAULT_PATH}")
    _add_common(top, default=False)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Command)

    plan = commands.add_parser("plan", help="what apply would do now and later, and why; changes nothing")
    plan.add_argument("names", nargs="*", metavar="NAME", help=NAME_HELP)
    plan.add_argument("--exit-code", action="store_true", help="exit 3 where there is something to do")
    plan.add_argument("--html", metavar="FILE", help="write a page with a picture of the plan over time")

    apply = commands.add_parser("apply", help="do all that is safe now, and say when the next step is due")
    apply.add_argument("names", nargs="*", metavar="NAME", help=NAME_HELP)
    apply.add_argument("--wait", action="store_true", help="stay until all is done")
    apply.add_argument("--force-renewal", action="store_true", help="renew regardless of age")
    apply.add_argument("--retry-now", action="store_true", help="ignore a back-off")
    apply.add_argument("--staging", action="store_true", help=argparse.SUPPRESS)  # not yet supported

    commands.add_parser("recover", help="only what an interrupted run owes")

    status = commands.add_parser("status", help="each certificate, from what is stored")
    status.add_argument("names", nargs="*", metavar="NAME", help=NAME_HELP)
    status.add_argument("--html", metavar="FILE", help="write a page with a picture of each certificate over time")

    revoke = commands.add_parser("revoke", help="revoke a certificate")
    revoke.add_argument("name", nargs="?", metavar="NAME", help="the newest certificate of that name")
    revoke.add_argument("--cert", metavar="FILE", help="the certificate in this PEM file")
    revoke.add_argument(
        "--reason",
        default="unspecified",
        choices=["unspecified", "keyCompromise", "superseded", "cessationOfOperation"],
        help="RFC 5280 section 5.3.1; default: unspecified",
    )
    revoke.add_argument("--yes", action="store_true", help="at once, also one that is live: nothing replaces it first")
    revoke.add_argument("--wait", action="store_true", help="stay until one that is live is replaced and revoked")

    rollover = commands.add_parser("rollover", help="replace a certificate's key by the next one, without an outage")
    rollover.add_argument("name", metavar="NAME", help="a certificate's name in the config")
    rollover.add_argument(
        "--emergency", action="store_true", help="nothing settles: the old key's records go as soon as nothing uses it"
    )
    rollover.add_argument(
        "--accept-outage",
        action="store_true",
        help="with --emergency: do not wait for senders' caches; what that costs is said first",
    )
    rollover.add_argument("--cancel", action="store_true", help="take a rollover back that is not done yet")
    rollover.add_argument("--wait", action="store_true", help="stay until all is done")

    withdraw = commands.add_parser("withdraw", help="take out of service what left the config: records, then files")
    withdraw.add_argument(
        "name", metavar="NAME", help="a certificate, or an endpoint HOST:PORT, that is not in the config"
    )
    withdraw.add_argument(
        "--wait", action="store_true", help="stay until no cache can hold its records, and all is done"
    )

    adopt = commands.add_parser("adopt", help="accept what is live as the truth: its key, or another machine's state")
    adopt.add_argument("name", metavar="NAME", help="a certificate's name in the config")

    timer = commands.add_parser(
        "timer", help="print or install what runs apply every hour: systemd units or a cron line"
    )
    timer.add_argument("--install", action="store_true", help="write the units, and start the timer where systemd runs")
    timer.add_argument("--unit-dir", default="/etc/systemd/system", metavar="DIR", help="default: /etc/systemd/system")
    timer.add_argument("--cron", action="store_true", help="a line for /etc/cron.d in place of units")

    _add_check(commands.add_parser("check", help="what senders that obey DANE make of a domain or host:port, and why"))
    _add_tlsa(
        commands.add_parser("tlsa", help="print TLSA records of a certificate, chain, key, CSR or live host:port")
    )
    _add_match(commands.add_parser("match", help="does a PEM or DER chain satisfy TLSA records, offline"))
    _add_serve(commands.add_parser("serve", help="the check as a web page; see docs/serve.md"))
    return top


class _Command(argparse.ArgumentParser):
    """The parser of one command, which takes what every command takes behind its name too: people write it there."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        _add_common(self, default=argparse.SUPPRESS)  # what is not given leaves alone what stands before the command


def _add_common(parser: argparse.ArgumentParser, *, default: bool | str) -> None:
    """Add what every command takes."""
    parser.add_argument("--json", action="store_true", default=default, help="one JSON document on standard output")
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", default=default, help="say more: every progress line")
    loudness.add_argument(
        "-q", "--quiet", action="store_true", default=default, help="say only what failed or needs a person"
    )


def _add_check(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "targets", nargs="*", metavar="TARGET", help="a domain (its MX hosts), HOST:PORT, or [IPV6]:PORT"
    )
    check.add_argument("--file", metavar="FILE", help="targets, one a line, - for standard input; results stream")
    check.add_argument("--jobs", type=int, default=32, metavar="N", help="targets at once; default: 32")
    check.add_argument(
        "--protocol", metavar="PROTOCOL", help="how TLS starts: smtp, imaps, xmpp-client … default: by the port"
    )
    check.add_argument("--service", metavar="LABEL", help="find a domain's hosts by SRV records, as _LABEL._tcp")
    check.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for a handshake; default: 10")
    check.add_argument("--no-policy", action="store_true", help="do not look for MTA-STS and TLSRPT")
    check.add_argument("--html", metavar="FILE", help="write a page with a picture")
    check.add_argument("--jsonl", action="store_true", help="one JSON document a line")
    check.add_argument("--nagios", action="store_true", help="one line and the exit status of a monitoring plug-in")
    check.add_argument("--require-dane", action="store_true", help="with --nagios: not protected is critical")
    check.add_argument("--prometheus", metavar="FILE", help="write metrics for node_exporter's textfile collector")
    check.add_argument("--record", metavar="FILE", help="keep all answers, to be judged again by --replay")
    check.add_argument("--replay", metavar="FILE", help="judge the answers in a file that --record wrote")


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--listen", action="append", metavar="ADDRESS:PORT", help="default: 127.0.0.1:8053; repeatable; port 0: any"
    )
    serve.add_argument("--jobs", type=int, default=8, metavar="N", help="checks at once; default: 8")
    serve.add_argument("--rate", type=int, default=10, metavar="N", help="checks a minute for a client; default: 10")
    serve.add_argument("--managed", action="store_true", help="show what is managed, to this machine only")


def _add_match(match: argparse.ArgumentParser) -> None:
    match.add_argument(
        "chain", metavar="CHAIN", help="PEM or DER, the server's certificate first; - for standard input"
    )
    match.add_argument(
        "--tlsa",
        action="append",
        required=True,
        metavar='"3 1 1 60785a…"',
        help="a record's data, or its whole line of a zone; repeatable",
    )
    match.add_argument(
        "--name", action="append", metavar="HOST", help="what the server may be named, for usages 0 to 2; repeatable"
    )
    match.add_argument(
        "--port", type=int, metavar="PORT", help="25: the rules of mail between servers (usages 0 and 1 do not count)"
    )
    match.add_argument(
        "--trust", metavar="FILE", help="trusted CA certificates for usages 0 and 1; default: the system's"
    )
    match.add_argument("--at", metavar="TIME", help="an instant or a date in ISO 8601 form; default: now")


def _add_tlsa(tlsa: argparse.ArgumentParser) -> None:
    tlsa.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a PEM or DER file, - for standard input, or a live HOST:PORT"
    )
    tlsa.add_argument(
        "--record",
        action="append",
        metavar='"3 1 1"',
        help='usage, selector, matching type; default "3 1 1"; repeatable',
    )
    tlsa.add_argument(
        "--endpoint", metavar="HOST:PORT", help="for the owner name; default: the live source's, or a bare record"
    )
    tlsa.add_argument("--ttl", type=int, default=3600, metavar="SECONDS", help="default: 3600")
    tlsa.add_argument(
        "--format", choices=["zone", "generic", "nsupdate", "json"], help="default: zone; generic is RFC 3597's TYPE52"
    )
    tlsa.add_argument(
        "--ta",
        type=int,
        metavar="N",
        help="for usages 0 and 2, the CA certificate: 1 issued the leaf; default: topmost",
    )
    tlsa.add_argument("--password-file", metavar="FILE", help="its first line opens encrypted private keys")
    tlsa.add_argument(
        "--protocol",
        choices=["smtp", "smtps", "imap", "imaps", "pop3", "pop3s", "https", "tls"],
        help="how TLS starts at a live source; default: by its port",
    )
    tlsa.add_argument(
        "--name", metavar="NAME", help="the name that a live source is asked for (SNI); default: its host"
    )
