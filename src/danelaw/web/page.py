"""The result of a check as one HTML file: no script, nothing loaded from elsewhere, for screens, phones and paper."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from danelaw import __version__
from danelaw.model import Chain, Finding, Report
from danelaw.pki import load, subject_text
from danelaw.web import words
from danelaw.web.pen import STYLE, sign
from danelaw.web.picture import draw
from danelaw.web.scene import presented, scene
from danelaw.web.timeline.chart import STYLE as TIMELINE_STYLE
from danelaw.web.timeline.spans import words_of

_WORD = re.compile(r"[a-z]+[,;:]?")
_RFC = re.compile(r"RFC (\d{3,5})(?: (?:section|appendix) ([A-Z0-9.]{1,12}))?")


@cache
def style() -> str:
    """Return the style sheet of every page, the picture's included."""
    return STYLE + TIMELINE_STYLE + files("danelaw.web").joinpath("static/page.css").read_text("utf-8")


@cache
def style_source() -> str:
    """Return the style sheet's digest as a Content-Security-Policy names it (CSP Level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()}'"


def page(report: Report, *, link: str = "", home: str = "", again: Mapping[str, str] | None = None) -> str:
    """Return the result of a check as one HTML document.

    ``link`` is where this result can be found again, ``home`` where the next check is asked for, and ``again`` the form
    fields that ask for this one once more; a file has none of them.
    """
    what = scene(report)
    return render(
        "report.html",
        report=report,
        scene=what,
        wide=draw(what, style=False),
        narrow=draw(what, narrow=True, style=False),
        urgent=[each for kind in ("error", "warning") for each in report.findings if each.severity == kind],
        calm=[each for each in report.findings if each.severity in {"note", "good"}],
        counts=_counts(report.findings),
        link=link,
        again=again or {},
        home=home,
        served=bool(home),
    )


def render(template: str, *, served: bool, home: str = "", **values: object) -> str:
    """Return a page of a template: every text in it is shortened, made printable and escaped, unless it is `Markup`.

    ``served``: the Content-Security-Policy is a header then; a file says it itself.
    """
    css = Markup(style())  # noqa: S704 - our own file
    found = _environment().get_template(template)
    return found.render(style=css, style_source=Markup(style_source()), served=served, home=home, **values)  # noqa: S704 - our own digest


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("danelaw.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else words.shown(value),
    )
    environment.globals |= {
        "version": __version__,
        "words": words,
        "sign": sign,
    }
    filters: dict[str, Callable[..., object]] = {
        "at": _instant,
        "rfc": _rfc,
        "sentence": sentence,
        "certificates": _certificates,
        "presented": presented,
        "lines": _lines,
        "span": words_of,
    }
    environment.filters |= filters
    return environment


def _counts(findings: Iterable[Finding]) -> str:
    """Return how many findings of each kind there are, in words: ``2 errors, 1 warning, 3 notes``.

    What is good is a note too, as on the terminal.
    """
    kinds = ["note" if each.severity == "good" else each.severity for each in findings]
    named = (("error", "errors"), ("warning", "warnings"), ("note", "notes"))
    said = [f"{kinds.count(one)} {one if kinds.count(one) == 1 else more}" for one, more in named if one in kinds]
    if not {"error", "warning"} & set(kinds):
        said.insert(0, "no errors, no warnings")
    return ", ".join(said)


def _instant(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def sentence(text: str) -> Markup:
    """Return a clause as a sentence of its own, with what stands in backticks as code."""
    said = words.shown(text.strip(), 1200)
    first = said.partition(" ")[0]
    whole = said[:1].upper() + said[1:] if _WORD.fullmatch(first) and first != "danelaw" else said
    whole += "" if whole.endswith((".", "!", "?", "…", ":")) else "."
    parts = whole.split("`")
    if len(parts) % 2 == 0:  # one without another: it means itself
        return Markup("{}").format(whole)
    coded = Markup("<code>{}</code>")
    return Markup("").join(
        coded.format(part) if odd % 2 else Markup("{}").format(part) for odd, part in enumerate(parts)
    )


def _rfc(text: str) -> Markup:
    """Return where an RFC says it, as a link where the text is one reference."""
    found = _RFC.fullmatch(text)
    if found is None:
        return Markup("{}").format(words.shown(text))
    kind = "appendix" if "appendix" in text else "section"
    place = f"#{kind}-{found[2]}" if found[2] else ""
    return Markup('<a href="https://www.rfc-editor.org/rfc/rfc{}{}" rel="noreferrer">{}</a>').format(
        found[1], place, text
    )


def _certificates(chain: Chain) -> list[dict[str, str]]:
    """Return what a chain's certificates are, leaf first: subject, issuer, dates, digests."""
    found = []
    for der in chain.certificates_der[:8]:
        certificate = load(der)
        found.append(
            {
                "subject": subject_text(der),
                "from": "?" if certificate is None else _instant(certificate.not_valid_before_utc),
                "until": "?" if certificate is None else _instant(certificate.not_valid_after_utc),
                "sha256": hashlib.sha256(der).hexdigest(),
            }
        )
    return found


def _lines(text: str) -> list[str]:
    return [words.shown(line) for line in text[:8192].splitlines()[:60]]
