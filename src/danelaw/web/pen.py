"""What a picture is drawn with: boxes, signs, texts that keep within their box, and lines, as SVG.

States have a colour and a shape of their own. Colours are CSS variables, so that a page's dark mode is the picture's.
"""

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from danelaw.web.words import State, cells, short, shown

if TYPE_CHECKING:
    from danelaw.web.scene import Band, Place

BAND = 32
"""Where hosts begin, behind the trunk that leads to them."""
GAP = 16
HEADING = 26

MONO = 0.606
"""The width of a character of the usual monospaced fonts, in ems (DejaVu Sans Mono and Menlo 0.602, Courier 0.600)."""
SANS = 0.60
"""That of our own words in the usual sans-serif fonts, on the average, with some room (DejaVu Sans is the widest)."""

COLOURS = """\
:root{color-scheme:light dark;--paper:#fff;--ground:#f6f7f9;--ink:#1a1d21;--soft:#555c66;--line:#c9ced6;
--good:#1a7035;--good-tint:#e7f5eb;--weak:#8a5300;--weak-tint:#fff4dc;--bad:#b3161f;--bad-tint:#fdebec;
--unknown:#5a3f9e;--unknown-tint:#f1edfb;--plain:#555c66;--plain-tint:#f1f3f5;--link:#0a56b5}
@media (prefers-color-scheme:dark){:root{--paper:#16191d;--ground:#0f1114;--ink:#e8eaed;--soft:#a9b1bc;--line:#3d444d;
--good:#62cf83;--good-tint:#14291b;--weak:#eab04a;--weak-tint:#2e2410;--bad:#ff8a8f;--bad-tint:#341618;
--unknown:#bda6f7;--unknown-tint:#221b36;--plain:#a9b1bc;--plain-tint:#20252b;--link:#7fb5ff}}
@media print{:root{color-scheme:light;--paper:#fff;--ground:#fff;--ink:#000;--soft:#444;--line:#999;
--good:#1a7035;--good-tint:#fff;--weak:#8a5300;--weak-tint:#fff;--bad:#b3161f;--bad-tint:#fff;
--unknown:#5a3f9e;--unknown-tint:#fff;--plain:#555c66;--plain-tint:#fff;--link:#0a56b5}}
.good{--c:var(--good);--t:var(--good-tint)}.weak{--c:var(--weak);--t:var(--weak-tint)}
.bad{--c:var(--bad);--t:var(--bad-tint)}.unknown{--c:var(--unknown);--t:var(--unknown-tint)}
.plain{--c:var(--plain);--t:var(--plain-tint)}
"""

DRAWING = """\
.picture{display:block;width:100%;height:auto}
.picture text{font:12px system-ui,"DejaVu Sans",sans-serif;fill:var(--ink)}
.picture .mono{font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
.picture .tiny{font-size:10.4px}.picture .small{font-size:11px;fill:var(--soft)}.picture .strong{font-weight:700}
.picture .host{font-size:13px;font-weight:700}
.picture .box{fill:var(--t);stroke:var(--c);stroke-width:1.2}
.picture .frame{fill:var(--paper);stroke:var(--c);stroke-width:1.6}
.picture .rule{stroke:var(--line);stroke-width:1}
.picture .edge{fill:none;stroke:var(--c);stroke-width:2}
.picture .edge.bad{stroke-dasharray:6 4}.picture .edge.weak{stroke-dasharray:10 3}
.picture .edge.unknown,.picture .edge.plain{stroke-dasharray:2 4}
.picture .tip{fill:var(--c)}.picture .shape{fill:var(--c)}
.picture .mark{fill:none;stroke:var(--paper);stroke-width:1.9;stroke-linecap:round;stroke-linejoin:round}
.picture .dot{fill:var(--paper)}
"""

STYLE = COLOURS + DRAWING

# A shape and a mark in it for each state, within 8 units around the middle: circle, triangle, octagon, diamond, ring.
_SIGNS: dict[State, Markup] = {
    "good": Markup('<circle class="shape" r="7.5"/><path class="mark" d="M-3.6 .2-1 2.9 3.7-2.7"/>'),
    "weak": Markup(
        '<path class="shape" d="M0-8.2 8.6 7H-8.6z"/><path class="mark" d="M0-3V1.6"/>'
        '<circle class="dot" cy="4.5" r="1.15"/>'
    ),
    "bad": Markup(
        '<path class="shape" d="M-3.2-7.8H3.2L7.8-3.2V3.2L3.2 7.8H-3.2L-7.8 3.2V-3.2z"/>'
        '<path class="mark" d="M-2.9-2.9 2.9 2.9M2.9-2.9-2.9 2.9"/>'
    ),
    "unknown": Markup(
        '<path class="shape" d="M0-8.8 8.8 0 0 8.8-8.8 0z"/>'
        '<path class="mark" d="M-2.2-1.9C-2.2-5 2.4-4.8 2.2-1.9 2.1-.3 0-.3 0 1.4"/>'
        '<circle class="dot" cy="4.2" r="1.1"/>'
    ),
    "plain": Markup('<circle class="shape" r="6.5"/><path class="mark" d="M-2.6 0H2.6"/>'),
}


def sign(state: State) -> Markup:
    """Return a state's sign as an element of its own, for text; whoever cannot see it reads the words beside it."""
    return Markup(
        '<svg class="sign {}" viewBox="-10 -10 20 20" width="20" height="20" aria-hidden="true">{}</svg>'
    ).format(state, _SIGNS[state])


class Point(NamedTuple):
    """A point of the picture."""

    x: int
    y: int


class Pen:
    """Collects the elements of one picture, in the order in which they are painted."""

    def __init__(self) -> None:
        self.parts: list[Markup] = []

    def svg(self, width: int, height: int, name: str, title: str, description: str, style: str) -> Markup:
        """Return the whole ``<svg>``. ``name`` tells its identifiers from those of another picture on the same page."""
        head = Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="picture {0}" viewBox="0 0 {1} {2}" width="{1}" '
            'height="{2}" role="img" aria-labelledby="picture-{0}-title picture-{0}-text">'
            '<title id="picture-{0}-title">{3}</title><desc id="picture-{0}-text">{4}</desc>'
        ).format(name, width, height, shown(title), shown(description, 4000))
        css = Markup("<style>{}</style>").format(Markup(style)) if style else Markup("")  # noqa: S704 - our own text
        return head + css + Markup("\n").join(self.parts) + Markup("</svg>")

    def box(self, x: int, y: int, width: int, height: int, state: State, kind: str = "box") -> None:
        """Draw a box with round corners."""
        self._add('<rect class="{} {}" x="{}" y="{}" width="{}" height="{}" rx="6"/>', kind, state, x, y, width, height)

    def frame(self, behind: int, at: Point, width: int, height: int, state: State) -> None:
        """Put a host's frame behind what was drawn since part number ``behind``."""
        later = self.parts[behind:]
        del self.parts[behind:]
        self.box(at.x, at.y, width, height, state, "frame")
        self.parts += later

    def sign(self, x: int, y: int, state: State) -> None:
        """Draw a state's sign around a point."""
        self._add('<g class="{}" transform="translate({} {})">{}</g>', state, x, y, _SIGNS[state])

    def mono(self, x: int, y: int, text: str, width: int, *, host: bool = False) -> None:
        """Write a stranger's text: smaller where it is long, and its middle left out where it is longer than that."""
        size = 13.0 if host else 12.0
        kind = "mono host" if host else "mono"
        if cells(text) * size * MONO > width:
            size, kind = (12.0, "mono strong") if host else (10.4, "mono tiny")
        self._text(x, y, text, width, kind, size * MONO)

    def words(self, x: int, y: int, text: str, width: int, *, strong: bool = False, small: bool = False) -> None:
        """Write words of our own."""
        size, room = (11, SANS) if small else (12, SANS * 1.1 if strong else SANS)
        kind = "small" if small else "strong" if strong else "words"
        self._text(x, y, text, width, kind, size * room)

    def note(self, x: int, y: int, text: str, width: int) -> None:
        """Write a remark."""
        self.words(x, y, text, width, small=True)

    def rule(self, x: int, y: int, width: int) -> None:
        """Draw a thin line across a box."""
        self._add('<path class="rule" d="M{} {}h{}"/>', x, y, width)

    def place(self, x: int, y: int, width: int, height: int, place: "Place") -> None:
        """Draw a box with a sign and one or two lines."""
        self.box(x, y, width, height, place.state)
        self.sign(x + 18, y + height // 2, place.state)
        middle = y + height // 2
        self.mono(x + 36, middle - 2 if place.note else middle + 4, place.label, width - 44)
        if place.note:
            self.words(x + 36, middle + 13, place.note, width - 44, small=True)

    def heading(self, x: int, y: int, width: int, heading: "Place | str") -> None:
        """Write the heading of a column, with the sign of its state where it has one."""
        if isinstance(heading, str):
            self.words(x, y + 14, heading, width, small=True)
            return
        self.sign(x + 9, y + 10, heading.state)
        self.words(x + 24, y + 14, heading.label, width - 24, small=True)

    def header(self, at: Point, width: int, band: "Band") -> None:
        """Write a host's name and verdict at the top of its frame."""
        self.sign(at.x + 20, at.y + 20, band.state)
        self.mono(at.x + 38, at.y + 24, band.host, width - 50, host=True)
        self.words(at.x + 38, at.y + 42, band.verdict, width - 50)

    def curve(self, start: Point, end: Point, state: State, side: int) -> None:
        """Draw a line with a tip from one box to another: across (``side`` 0), or around on the left (-1) or right."""
        if side:
            bend = min(26, 14 + abs(end.y - start.y) // 40)
            first, second, into = start.x + side * bend, end.x + side * bend, -side
        else:
            into = 1 if end.x > start.x else -1
            first, second = start.x + into * 34, end.x - into * 34
        stop = end.x - into * 6
        self._add(
            '<path class="edge {}" d="M{} {}C{} {} {} {} {} {}"/>',
            state, start.x, start.y, first, start.y, second, end.y, stop, end.y,
        )  # fmt: skip
        self._tip(end, into, state)

    def arrow(self, start: Point, end: Point, state: State) -> None:
        """Draw a straight line with a tip, across or down."""
        down = start.x == end.x
        stop = Point(end.x, end.y - 6) if down else Point(end.x - 6, end.y)
        self._add('<path class="edge {}" d="M{} {}L{} {}"/>', state, *start, *stop)
        if down:
            self._add('<path class="tip {}" d="M{} {}l-5-8h10z"/>', state, *end)
        else:
            self._tip(end, 1, state)

    def elbow(self, start: Point, end: Point, state: State) -> None:
        """Draw a line down from a point, and across to another."""
        self._add('<path class="edge {}" d="M{} {}V{}H{}"/>', state, *start, end.y, end.x)

    def branch(self, trunk: Point, end: Point, state: State) -> None:
        """Draw a line down from the trunk, and across to a host's frame."""
        self._add('<path class="edge {}" d="M{} {}V{}H{}"/>', state, *trunk, end.y, end.x - 6)
        self._tip(end, 1, state)

    def _tip(self, end: Point, into: int, state: State) -> None:
        self._add('<path class="tip {}" d="M{} {}l{}-5v10z"/>', state, *end, -8 * into)

    def _text(self, x: int, y: int, text: str, width: int, kind: str, cell: float) -> None:
        """Write text within a width; ``cell`` is that of one character."""
        cut = short(text, max(int(width / cell), 2))
        whole = Markup("<title>{}</title>").format(shown(text)) if cut != text else Markup("")
        # Other scripts come from other fonts, and nobody knows how wide those are: they are told.
        told = (
            ""
            if cut.replace("…", "").isascii()
            else Markup(' textLength="{:.1f}" lengthAdjust="{}"').format(cells(cut) * cell, "spacingAndGlyphs")
        )
        self._add('<text class="{}" x="{}" y="{}"{}>{}{}</text>', kind, x, y, told, whole, cut)

    def _add(self, form: str, *values: object) -> None:
        self.parts.append(Markup(form).format(*values))  # noqa: S704 - forms are ours, and values are escaped
