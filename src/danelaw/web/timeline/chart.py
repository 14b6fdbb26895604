"""What a timeline is drawn with: bars in the colour of whose they are, marks, an axis; what is planned is hatched."""

from typing import NamedTuple

from markupsafe import Markup

from danelaw.web.pen import SANS, Pen
from danelaw.web.timeline.spans import Kind, MarkKind, Role
from danelaw.web.words import cells, shown

STYLE = """\
:root{--next:#0a56b5;--next-tint:#e6effa;--issuer:#0b6b6b;--issuer-tint:#e2f3f3}
@media (prefers-color-scheme:dark){:root{--next:#7fb5ff;--next-tint:#14253a;--issuer:#5cc9c9;--issuer-tint:#12292a}}
@media print{:root{--next:#0a56b5;--next-tint:#fff;--issuer:#0b6b6b;--issuer-tint:#fff}}
.role-current{--c:var(--good);--t:var(--good-tint)}.role-next{--c:var(--next);--t:var(--next-tint)}
.role-retired{--c:var(--weak);--t:var(--weak-tint)}.role-issuer{--c:var(--issuer);--t:var(--issuer-tint)}
.role-foreign{--c:var(--unknown);--t:var(--unknown-tint)}.role-answer{--c:var(--plain);--t:var(--plain-tint)}
.role-refused{--c:var(--bad);--t:var(--bad-tint)}
.picture .full{fill:var(--c);stroke:var(--c);stroke-width:1}
.picture .part{fill:var(--t);stroke:var(--c);stroke-width:1}
.picture .ahead{stroke:var(--c);stroke-width:1;stroke-dasharray:4 2}
.picture .ground{fill:var(--t)}.picture .hatch{stroke:var(--c);stroke-width:1.6;opacity:.55}
.picture .sheet{fill:var(--paper);stroke:var(--line)}.picture .lane{fill:var(--ground)}
.picture .inside{font-size:11px;fill:var(--paper)}
.picture .over{font-size:11px;fill:var(--ink);stroke:var(--paper);stroke-width:3px;
stroke-linejoin:round;paint-order:stroke}
.picture .small.over{fill:var(--soft)}
.picture .axis{stroke:var(--soft);stroke-width:1.4}.picture .grid{stroke:var(--line);stroke-width:1}
.picture .now{stroke:var(--ink);stroke-width:2}.picture .at{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:5 3}
.picture .flag{fill:var(--ink)}.picture .flag.problem{fill:var(--bad)}.picture .flag.fine{fill:var(--good)}
"""
"""What the pictures of timelines need beside `pen.STYLE`."""

ROLES: tuple[Role, ...] = ("current", "next", "retired", "issuer", "foreign", "answer", "refused")

HEIGHTS: dict[Kind, int] = {"served": 14, "partly": 14, "cached": 8, "kept": 6, "valid": 6, "live": 14}

_FLAGS: dict[MarkKind, tuple[str, str]] = {
    "asked": ("", "M-5-5H5V1H1L0 6-1 1H-5z"),
    "cutover": ("", "M0-7 7 0 0 7-7 0z"),
    "proof": ("fine", "M-6 0-3.6-2.4-1.6-.4 4-6 6.4-3.6-1.6 4.4z"),
    "failed": ("problem", "M-6-4-4-6 0-2 4-6 6-4 2 0 6 4 4 6 0 2-4 6-6 4-2 0z"),
    "settled": ("", "M-6-6H6V-4L1.5 0 6 4V6H-6V4L-1.5 0-6-4z"),
    "renewal": ("", "M0-6.5A6.5 6.5 0 1 0 6.5 0H4A4 4 0 1 1 0-4V-1L6-5 0-9z"),
    "again": ("problem", "M0-6.5A6.5 6.5 0 1 0 6.5 0H4A4 4 0 1 1 0-4V-1L6-5 0-9z"),
    "retired": ("", "M-6-5H6V-2H-6zM-5-1H5V6H-5z"),
    "revoked": ("problem", "M-6-4-4-6 0-2 4-6 6-4 2 0 6 4 4 6 0 2-4 6-6 4-2 0z"),
    "compromised": ("problem", "M0-7 7 6H-7z"),
    "clock": ("problem", "M-6-6H6V-4L1.5 0 6 4V6H-6V4L-1.5 0-6-4z"),
}
"""The shape of each mark around its middle, and whether it is fine or a problem."""


def flag(kind: MarkKind) -> Markup:
    """Return a mark's shape as an element of a picture."""
    kind_of, path = _FLAGS[kind]
    return Markup('<path class="{}" d="{}"/>').format(f"flag {kind_of}".strip(), path)


_SAMPLE = Markup('<svg class="sample picture" viewBox="{} {} 28 18" width="28" height="18" aria-hidden="true">{}</svg>')


def sample_flag(kind: MarkKind) -> Markup:
    """Return a mark as an element of its own, for the legend."""
    return _SAMPLE.format(-14, -9, flag(kind))


def sample_bar(kind: Kind, role: Role, *, planned: bool = False) -> Markup:
    """Return a bar as an element of its own, for the legend; one planned sample a role and page."""
    pen = Chart("legend")
    if planned:
        pen.hatching(role)
    pen.bar(Bar(1, 27, 9), kind, role, "", planned=planned)
    return _SAMPLE.format(0, 0, Markup("").join(pen.parts))


class Bar(NamedTuple):
    """One bar: where it begins and ends, the middle of its height, and whether it goes on beyond either end."""

    left: int
    right: int
    middle: int
    goes_back: bool = False
    goes_on: bool = False


class Chart(Pen):
    """Draws timelines. ``name`` tells its hatchings from those of another picture on the same page."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def hatchings(self) -> None:
        """Define what planned bars are filled with."""
        for role in ROLES:
            self.hatching(role)

    def hatching(self, role: Role) -> None:
        """Define what planned bars of one role are filled with."""
        self._add(
            '<pattern id="{}-{}" class="role-{}" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path class="ground" d="M0 0H6V6H0z"/>'
            '<path class="hatch" d="M3 0V6"/></pattern>',
            self.name, role, role,
        )  # fmt: skip

    def bar(self, bar: Bar, kind: Kind, role: Role, tip: str, *, planned: bool) -> None:
        """Draw a bar with a tooltip: planned ones hatched, others full, and pale where only a part is so."""
        half = HEIGHTS["served" if role == "refused" else kind] // 2
        width = max(bar.right - bar.left, 2)
        right = f"l5 {half}l-5 {half}" if bar.goes_on else f"v{2 * half}"
        left = f"l-5-{half}l5-{half}z" if bar.goes_back else "z"
        path = f"M{bar.left} {bar.middle - half}h{width}{right}h{-width}{left}"
        look = "ahead" if planned else "part" if kind in {"partly", "cached"} else "full"
        fill = Markup(' fill="url(#{}-{})"').format(self.name, role) if planned else Markup("")
        self._add('<path class="role-{} {}"{} d="{}"><title>{}</title></path>', role, look, fill, path, shown(tip))

    def inside(self, left: int, right: int, middle: int, text: str, *, planned: bool) -> None:
        """Write a word into a bar where it has room."""
        if text and len(text) * 11 * SANS + 8 <= right - left:
            self.few(left + 5, middle + 4, text, "over" if planned else "inside")

    def flag(self, x: int, y: int, kind: MarkKind, tip: str) -> None:
        """Draw a mark with a tooltip."""
        self._add('<g transform="translate({} {})">{}<title>{}</title></g>', x, y, flag(kind), shown(tip))

    def upright(self, x: int, top: int, bottom: int, kind: str) -> None:
        """Draw a line down: ``now``, ``at`` (a mark's) or ``grid``."""
        self._add('<path class="{}" d="M{} {}V{}"/>', kind, x, top, bottom)

    def across(self, left: int, right: int, y: int, kind: str) -> None:
        """Draw a line across."""
        self._add('<path class="{}" d="M{} {}H{}"/>', kind, left, y, right)

    def sheet(self, x: int, y: int, width: int, height: int, kind: str = "sheet") -> None:
        """Draw a plain rectangle."""
        self._add('<path class="{}" d="M{} {}h{}v{}h{}z"/>', kind, x, y, width, height, -width)

    def instant(self, x: int, y: int, text: str) -> None:
        """Write a part of an instant, whose middle is ``x``."""
        self._add('<text class="mono tiny" x="{}" y="{}">{}</text>', round(x - room(text, 6.3) / 2), y, text)

    def few(self, x: int, y: int, text: str, kind: str = "small") -> None:
        """Write a few words from ``x`` on: ``small``, or ``over`` what may lie below them."""
        self._add('<text class="{}" x="{}" y="{}">{}</text>', kind, x, y, shown(text))


def room(text: str, cell: float = 11 * SANS) -> float:
    """Return how wide text is, by default our own small words."""
    return cells(text) * cell
