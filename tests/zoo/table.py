"""The agreement as docs/agreement.md has it, and as a terminal shows it."""

from collections.abc import Mapping, Sequence

from danelaw.model import Report, Sender
from zoo.agreement import Reason, Zoo
from zoo.animal import Animal
from zoo.oracles import TOOLS, Tool

_SENDERS: Mapping[Sender, str] = {"postfix": "Postfix", "exim": "Exim", "mox": "mox", "exchange": "Exchange"}

_TITLES: dict[str, str] = {
    "Postfix": "Postfix 3.7",
    "Exim": "Exim 4.96",
    "posttls-finger": "posttls-finger (of the same)",
    "danetool": "danetool (GnuTLS 3.7)",
    "ldns-dane": "ldns-dane (ldns 1.8)",
    "s_client": "openssl s_client (OpenSSL 3.0)",
    "smtp-dane-verify": "smtp-dane-verify 0.1.2",
}

_HEAD = """\
# Agreement

A zoo of mail hosts and domains, each right or wrong in its own way, stands in the [world](world.md): real name servers
with real DNSSEC, and mail servers that do exactly what the animal wants. `make zoo` asks danelaw about every animal,
lets a real Postfix and a real Exim send a message to it, and asks five tools that nobody here wrote; it writes this
page, and fails where danelaw's verdict is not the one expected, and where somebody disagrees without a reason given
below. The tests do the same and compare this page with what they found.

danelaw says what becomes of mail by Postfix, Exim, mox and Exchange, and the exit status of `danelaw check`. The
others' words are summed up: **accepts**, the server is authenticated by DANE; **refuses**, it is not and should be;
**no DANE**, there is nothing to authenticate it by; **no answer**, nothing was learnt; **crashes**; **either**, by
chance; a dash, it could not be asked. They are held against what danelaw says of Postfix, and those of Exim against
what it says of Exim: *authenticated* is accepts, *deferred* refuses, *encrypted* and *opportunistic* no DANE, *unknown*
no answer. A number is that of the reason why the two differ.

- {Postfix}, with `smtp_tls_security_level = dane`, has a message to deliver; its log says what became of it.
- {Exim} (Debian's, with GnuTLS; danelaw's Exim has OpenSSL), with `hosts_try_dane`, likewise.
- {posttls-finger} is given the domain, with `-l dane`.
- {danetool}, {smtp-dane-verify}: each MX host, over STARTTLS.
- {ldns-dane} has no STARTTLS: it is given each chain in a file and looks up the records, with `-n -S`.
- {s_client} looks up nothing: it is given the records that a validating resolver
  finds secure, each address, and each kind of certificate where there are two.

Of several hosts, addresses or kinds of certificate the worst word counts.
"""


def verdict(report: Report) -> str:
    """Return what most senders do, and who does something else."""
    if not report.outcomes:
        return "takes no mail"
    by_outcome: dict[str, list[str]] = {}
    for sender, name in _SENDERS.items():
        by_outcome.setdefault(report.outcomes[sender], []).append(name)
    first, *others = sorted(by_outcome, key=lambda outcome: -len(by_outcome[outcome]))
    return "; ".join([first, *(f"{', '.join(by_outcome[other])}: {other}" for other in others)])


def _sentences(reasons: Sequence[Reason]) -> Mapping[str, int]:
    """Return the number of each reason's sentence; several tools may share one."""
    return {says: number for number, says in enumerate(dict.fromkeys(reason.says for reason in reasons), 1)}


def word(zoo: Zoo, animal: Animal, tool: Tool, reasons: Sequence[Reason]) -> str:
    """Return a tool's word for an animal, with the number of the reason why it is not danelaw's."""
    found = next((reason for reason in reasons if reason.tool == tool and animal.name in reason.animals), None)
    said = zoo.said(animal, tool).word
    if found is None:
        return said
    return f"{'either' if found.chance else said} ({_sentences(reasons)[found.says]})"


def page(zoo: Zoo, reasons: Sequence[Reason]) -> str:
    """Return docs/agreement.md."""
    asked = [(animal, tool) for animal in zoo.animals for tool in TOOLS if zoo.said(animal, tool).word != "-"]
    explained = {(name, reason.tool) for reason in reasons for name in reason.animals}
    agreeing = sum((animal.name, tool) not in explained for animal, tool in asked)
    lines = [_HEAD.format_map(_TITLES)]
    lines.append(f"## {len(zoo.animals)} animals\n")
    why = len(_sentences(reasons))
    lines.append(f"Of {len(asked)} words {agreeing} agree with danelaw; {why} reasons explain the rest.\n")
    lines.append(f"| animal | what it is | danelaw | exit | {' | '.join(TOOLS)} |")
    lines.append(f"|{' --- |' * (4 + len(TOOLS))}")
    for animal in zoo.animals:
        report = zoo.reports[animal.name]
        words = [word(zoo, animal, tool, reasons) for tool in TOOLS]
        cells = [animal.name, animal.says, verdict(report), str(report.status), *words]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("\n## Where they differ\n")
    for says, number in _sentences(reasons).items():
        who: dict[tuple[str, ...], list[Tool]] = {}
        for one in reasons:
            if one.says == says:
                who.setdefault(one.animals, []).append(one.tool)
        where = "; ".join(f"**{', '.join(tools)}** of {', '.join(animals)}" for animals, tools in who.items())
        lines.append(f"{number}. {where}: {says}")
    return "\n".join([*lines, ""])


def terminal(zoo: Zoo, reasons: Sequence[Reason], *, colour: bool) -> str:
    """Return the table for a terminal of 160 columns; what differs from danelaw stands out."""
    widths = [max(len(tool), 12) for tool in TOOLS]
    titles = " ".join(f"{tool:{width}}" for tool, width in zip(TOOLS, widths, strict=True))
    lines = [f"{'animal':22} {'danelaw':40} {'':1} {titles}".rstrip()]
    for animal in zoo.animals:
        report = zoo.reports[animal.name]
        cells = []
        for tool, width in zip(TOOLS, widths, strict=True):
            cell = f"{word(zoo, animal, tool, reasons):{width}}"
            cells.append(f"\x1b[33m{cell}\x1b[0m" if colour and zoo.differs(animal, tool) else cell)
        lines.append(f"{animal.name:22} {verdict(report):40} {report.status} {' '.join(cells)}".rstrip())
    lines.append("")
    lines += [f"{number:2} {says}" for says, number in _sentences(reasons).items()]
    return "\n".join([*lines, ""])
