"""The page of a report: what it says first, and that nothing of a stranger's becomes markup."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from danelaw.cli.check_tree import console, show
from danelaw.model import Finding, Report, Severity, Target
from danelaw.web.page import page, sentence, style, style_source
from danelaw.web.pen import COLOURS
from danelaw.web.words import cells, headline, short, shown, worst
from fakes import reports, web_pages

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "a", "header", "p", "main", "footer", "section", "div", "h1"),
    *(
        "h2",
        "h3",
        "h4",
        "ul",
        "ol",
        "li",
        "strong",
        "code",
        "details",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
    ),
    *("td", "caption", "figure", "figcaption", "dl", "dt", "dd", "span", "br", "em", "pre", "time"),
    *("svg", "desc", "g", "rect", "circle", "path", "text"),
}


class Outline(HTMLParser):
    """Which elements and attributes a page has, and whether they are closed in order."""

    EMPTY = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


@pytest.fixture(params=web_pages.REPORTS)
def shown_report(request: pytest.FixtureRequest) -> Report:
    return web_pages.REPORTS[request.param]()


def test_each_page_is_whole_and_loads_nothing(shown_report: Report) -> None:
    text = page(shown_report)
    outline = Outline(text)
    assert outline.open == []
    assert outline.tags <= TAGS
    assert len(text) < 1_000_000
    for name, value in outline.attributes:
        assert name not in {"src", "style", "srcset", "action", "background"}
        assert not name.startswith("on")
        assert name != "href" or re.fullmatch(r"#\w+|https://www\.rfc-editor\.org/rfc/rfc\d+(#\S+)?", value)
    assert "url(" not in style()
    assert "@import" not in style()


def test_hostile_text_is_shown_as_text() -> None:
    text = page(web_pages.hostile())
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert all(c == "\n" or c.isprintable() for c in text)  # no \x00, no \x1b, no turn of direction
    assert r"\u202e" in text
    assert "{{7*7}}" in text


def test_the_page_says_what_is_wrong_first() -> None:
    text = page(web_pages.mismatching())
    order = [
        text.index("<h1>No sender that obeys DANE delivers to example.org.</h1>"),
        text.index("matches none of the 2 TLSA records"),
        text.index("The TTL of 60 s is short"),
        text.index("<summary>2 notes: what is good"),
        text.index("The record of the next key"),
        text.index('<h2 id="senders">'),
        text.index('<h2 id="picture">'),
        text.index('<h2 id="details">'),
    ]
    assert order == sorted(order)
    assert "1 error, 1 warning, 2 notes" in text
    assert 'href="https://www.rfc-editor.org/rfc/rfc7672#section-2.2.2"' in text


@pytest.mark.parametrize(
    ("severities", "counts", "notes"),
    [
        ((), "no errors, no warnings", 0),
        (("good",), "no errors, no warnings, 1 note", 1),
        (("good", "note", "good"), "no errors, no warnings, 3 notes", 3),
        (("error", "good", "error"), "2 errors, 1 note", 1),
        (("warning",), "1 warning", 0),
    ],
)
def test_the_page_and_the_terminal_count_the_same_notes(
    severities: tuple[Severity, ...], counts: str, notes: int
) -> None:
    found = [Finding("c", severity, f"s{n}", "t", "", "") for n, severity in enumerate(severities)]
    report = replace(web_pages.good(), findings=tuple(found))
    text, terminal = page(report), io.StringIO()
    show(report, console(terminal))
    assert f"<p>{counts} · checked" in text
    several = f"{notes} note{'' if notes == 1 else 's'}"
    assert (f"<summary>{several}: what is good" in text) is bool(notes)
    assert (f"{several.replace(' ', ' further ')}: add -v" in terminal.getvalue()) is bool(notes)


def test_warnings_stand_behind_errors_whatever_their_order() -> None:
    found = replace(web_pages.good(), findings=web_pages.FINDINGS[1::-1])
    text = page(found)
    assert text.index("matches none") < text.index("is short")


def test_a_good_page_has_no_errors() -> None:
    text = page(web_pages.good())
    assert "<h1>Mail to example.org is protected by DANE.</h1>" in text
    assert "No errors and no warnings." in text
    assert "does not deliver" not in re.sub("<figcaption>.*?</figcaption>", "", text, flags=re.DOTALL)


def test_details_name_every_chain_once_and_each_record_with_its_reason() -> None:
    text = page(web_pages.mismatching())
    first = text[text.index('<h2 id="details">') : text.index("<h3>mx2.example.org:25</h3>")]
    assert first.count("<h4>Chain A</h4>") == 1
    assert first.count("<h4>Chain B</h4>") == 1
    assert first.count("<span>no match</span>") == 3  # the stale record twice, the ECDSA one against the RSA chain
    assert "no STARTTLS" in first
    assert "198.51.100.54" in first
    assert "no answer" in first


def test_the_file_forbids_scripts_and_names_its_style() -> None:
    text = page(web_pages.good())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith(f"default-src 'none'; style-src {style_source()};")
    assert f"<style>{style()}</style>" in text


def test_a_served_page_leads_on_and_leaves_the_policy_to_its_header() -> None:
    text = page(web_pages.good(), link="/r/abc", home="/")
    assert 'href="/r/abc"' in text
    assert 'href="/"' in text
    assert "Content-Security-Policy" not in text


def test_headlines() -> None:
    good, bad = web_pages.good(), web_pages.mismatching()
    assert headline(replace(good, target=Target("mail.example.org", 25))) == "mail.example.org:25 is protected by DANE."
    assert headline(web_pages.silent()) == "It cannot be told how example.org stands."
    assert headline(web_pages.without_dane()) == "Mail to example.org is not protected by DANE."
    assert headline(web_pages.null_mx()) == "example.org takes no mail."
    one = replace(bad, outcomes={**good.outcomes, "exim": "deferred"})
    assert headline(one) == "Exim does not deliver to example.org."
    two = replace(one, outcomes={**one.outcomes, "mox": "deferred"})
    assert headline(two) == "Exim and mox do not deliver to example.org."
    other = replace(two, delivers={"exim": True, "mox": True})
    assert headline(other) == (
        "Exim and mox do not deliver to every host of example.org, but mail gets through by another."
    )
    every = replace(bad, delivers=dict.fromkeys(bad.delivers, True))
    assert headline(every).startswith("Senders that obey DANE do not deliver to every host of example.org, but")
    client = replace(bad, outcomes={"client": "deferred"}, target=Target("www.example.org", 443, "https"))
    assert headline(client) == "Clients that obey DANE refuse www.example.org:443."


def test_an_rfc_that_is_no_plain_reference_is_no_link() -> None:
    odd = Finding("x", "note", "s", "t", "", "RFC 1 section javascript:alert(1)")
    assert "javascript:alert(1)</p>" in page(replace(reports.report(), findings=(odd,)))


def test_what_is_found_is_a_sentence_with_its_code_as_code() -> None:
    assert sentence("it has no <b>, see `ssl = <yes>`") == "It has no &lt;b&gt;, see <code>ssl = &lt;yes&gt;</code>."
    assert sentence("One ` alone!") == "One ` alone!"
    assert sentence("`code` first") == "<code>code</code> first."
    assert sentence("mail.example.org is an alias") == "mail.example.org is an alias."
    assert sentence("danelaw keeps it") == "danelaw keeps it."
    assert sentence("") == "."


def test_text_of_strangers_is_short_and_printable() -> None:
    assert shown("a\x00b\u200fc\r\nd") == "a\\u0000b\\u200fc  d"
    assert shown("x" * 700) == "x" * 599 + "…"
    assert short("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
    assert short("just fits", 9) == "just fits"
    assert short("長" * 10, 9) == "長長…長長"
    assert short("長" * 4, 8) == "長" * 4
    assert cells("a長🙂é") == 6
    assert shown("a\u0301\u0302b" + "\u0303" * 4) == "a\u0301\u0302b\u0303\u0303\\u0303\\u0303"


def test_the_worst_state_counts() -> None:
    assert worst(["good", "unknown", "bad"]) == "bad"
    assert worst(["good", "weak"]) == "weak"
    assert worst([]) == "plain"


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_text_contrasts_with_its_ground_in_every_scheme() -> None:
    schemes = [dict(re.findall(r"--([\w-]+):(#\w+)", block)) for block in re.findall(r":root{([^}]*)}", COLOURS)]
    assert len(schemes) == 3  # light, dark, paper
    for found in schemes:
        colours = {**schemes[0], **found}
        states = ("good", "weak", "bad", "unknown", "plain")
        grounds = ["paper", "ground", *(f"{state}-tint" for state in states)]
        for text in ("ink", "soft"):
            for ground in grounds:
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground, found)
        for text in (*states, "link"):
            for ground in ("paper", "ground", *([f"{text}-tint"] if text != "link" else [])):
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground, found)
