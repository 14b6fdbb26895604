"""The picture of a check as SVG: DNSSEC, MX, hosts, addresses, chains, and the TLSA records that pin them.

Two layouts of one scene: a wide one, in which addresses, chains and records stand beside each other, and a narrow one,
in which they stand below each other. Every text is cut to the characters that its box holds, in a font whose characters
are equally wide where it is a stranger's, so that nothing overlaps whatever DNS says; whole texts are in tooltips.
"""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from danelaw.model import Report
from danelaw.web.pen import BAND, GAP, HEADING, STYLE, Pen, Point
from danelaw.web.scene import Address, Band, Certificates, Place, Scene, scene

WIDE = 1000
NARROW = 360

ADDRESS_HEAD = 24
ADDRESS_ROW = 20
CHAIN_HEAD = 24
CHAIN_ROW = 34
RECORD = 40
STEP = 44
HEAD = 54
"""Heights, in the picture's own units (CSS pixels where it is shown at its size)."""


class Columns(NamedTuple):
    """Where the three groups of a host stand: left edge and width of each, and whether beside or below each other."""

    addresses: tuple[int, int]
    chains: tuple[int, int]
    records: tuple[int, int]
    beside: bool


WIDE_COLUMNS = Columns((52, 270), (388, 268), (722, 262), beside=True)
NARROW_COLUMNS = Columns((54, 268), (54, 268), (54, 268), beside=False)


def picture(report: Report, *, narrow: bool = False, style: bool = True) -> Markup:
    """Return the picture of a report: one ``<svg>`` element with its title and description.

    ``narrow`` is the layout for a phone. ``style`` False leaves its colours to the page, which has them.
    """
    return draw(scene(report), narrow=narrow, style=style)


def draw(what: Scene, *, narrow: bool = False, style: bool = True) -> Markup:
    """Return the picture of a scene; see `picture`."""
    width = NARROW if narrow else WIDE
    columns = NARROW_COLUMNS if narrow else WIDE_COLUMNS
    pen = Pen()
    trunk = (_steps_below if narrow else _steps_beside)(pen, what.steps)
    y = trunk.y + GAP
    if what.bands and not narrow:
        pen.elbow(trunk, Point(16, trunk.y + 14), what.steps[-1].state)
        trunk = Point(16, trunk.y + 14)
        y += 12
    for band in what.bands:
        pen.branch(trunk, Point(BAND, y + 20), what.steps[-1].state)
        trunk = Point(trunk.x, y + 20)
        y = _band(pen, band, columns, y, width) + GAP
    if what.left_out:
        pen.note(BAND, y + 12, what.left_out, width - 2 * BAND)
        y += 20
    return pen.svg(
        width, y, "narrow" if narrow else "wide", what.title, _description(what), STYLE if style else Markup("")
    )


def _description(what: Scene) -> str:
    steps = ", ".join(f"{step.label} {step.note}".strip() for step in what.steps)
    bands = "; ".join(f"{band.host}: {band.verdict}" for band in what.bands)
    return f"From the root of DNS: {steps}. {bands}." if bands else f"From the root of DNS: {steps}."


def _steps_beside(pen: Pen, steps: Sequence[Place]) -> Point:
    """Draw the steps of DNSSEC in a row; return where the hosts' trunk begins."""
    widths = (150, 440, 320)
    x = 8
    for number, (step, width) in enumerate(zip(steps, widths, strict=False)):
        if number:
            pen.arrow(Point(x, STEP // 2 + 4), Point(x + 36, STEP // 2 + 4), step.state)
            x += 36
        pen.place(x, 4, width, STEP, step)
        last = Point(x + width // 2, STEP + 4)
        x += width
    return last


def _steps_below(pen: Pen, steps: Sequence[Place]) -> Point:
    y = 4
    for number, step in enumerate(steps):
        if number:
            pen.arrow(Point(16, y), Point(16, y + 20), step.state)
            y += 20
        pen.place(4, y, NARROW - 8, STEP, step)
        y += STEP
    return Point(16, y)


def _band(pen: Pen, band: Band, columns: Columns, top: int, width: int) -> int:
    """Draw a host with all that hangs from it; return where it ends."""
    frame = len(pen.parts)
    y = top + HEAD
    pen.header(Point(BAND, top), width - BAND, band)
    left = _Group(columns.addresses, band.found, [_address_height(each) for each in band.addresses] or [RECORD])
    middle = _Group(columns.chains, "Presented", [_chain_height(each) for each in band.chains] or [RECORD])
    right = _Group(columns.records, "TLSA records", [RECORD] * (1 + len(band.records)))
    groups = (left, middle, right)
    tallest = max(group.height for group in groups)
    for group in groups:
        group.top = y
        y += 0 if columns.beside else group.height + GAP
    y += tallest + GAP if columns.beside else 0
    _edges(pen, band, columns, groups)
    for group in groups:
        pen.heading(group.x, group.top, group.width, group.heading)
    for address, at in zip(band.addresses, left.tops, strict=False):
        _draw_address(pen, left, at, address)
    if not band.addresses:
        pen.place(left.x, left.tops[0], left.width, RECORD, Place("unknown", "none"))
    for chain, at in zip(band.chains, middle.tops, strict=False):
        _draw_chain(pen, middle, at, chain)
    if not band.chains:
        pen.place(middle.x, middle.tops[0], middle.width, RECORD, Place("plain", "nothing"))
    places = [band.tlsa, *(Place(record.state, record.label, record.note) for record in band.records)]
    for place, at in zip(places, right.tops, strict=True):
        pen.place(right.x, at, right.width, RECORD, place)
    if band.left_out:
        pen.note(columns.addresses[0], y + 4, band.left_out, width - columns.addresses[0] - GAP)
        y += 16
    pen.frame(frame, Point(BAND, top), width - BAND - 2, y - top, band.state)
    return y


class _Group:
    """One column of boxes below its heading. ``top`` is set when all three are known."""

    def __init__(self, column: tuple[int, int], heading: Place | str, heights: Sequence[int]) -> None:
        self.x, self.width = column
        self.heading = heading
        self.heights = heights
        self.top = 0

    @property
    def height(self) -> int:
        return HEADING + sum(height + GAP // 2 for height in self.heights)

    @property
    def tops(self) -> list[int]:
        y = self.top + HEADING
        found = []
        for height in self.heights:
            found.append(y)
            y += height + GAP // 2
        return found


def _address_height(address: Address) -> int:
    return ADDRESS_HEAD + ADDRESS_ROW * len(address.presents) + 6


def _chain_height(chain: Certificates) -> int:
    return CHAIN_HEAD + CHAIN_ROW * len(chain.rows) + (16 if chain.more else 0) + 4


def _presents_y(top: int, row: int) -> int:
    return top + ADDRESS_HEAD + ADDRESS_ROW * row + ADDRESS_ROW // 2


def _certificate_y(top: int, row: int) -> int:
    return top + CHAIN_HEAD + CHAIN_ROW * row + CHAIN_ROW // 2


def _edges(pen: Pen, band: Band, columns: Columns, groups: tuple[_Group, _Group, _Group]) -> None:
    """Draw what is presented where, and what pins what: through the gaps beside, through the margins below."""
    left, middle, right = groups
    for address, at in zip(band.addresses, left.tops, strict=False):
        for row, presents in enumerate(address.presents):
            if presents.chain is not None:
                start = Point(left.x + left.width if columns.beside else left.x, _presents_y(at, row))
                end = Point(middle.x, middle.tops[presents.chain] + CHAIN_HEAD // 2)
                pen.curve(start, end, presents.state, -1 if not columns.beside else 0)
    for record, at in zip(band.records, right.tops[1:], strict=True):
        for chain, row in record.pins:
            start = Point(right.x if columns.beside else right.x + right.width, at + RECORD // 2)
            end = Point(middle.x + middle.width, _certificate_y(middle.tops[chain], row))
            pen.curve(start, end, record.state, 1 if not columns.beside else 0)


def _draw_address(pen: Pen, group: _Group, top: int, address: Address) -> None:
    pen.box(group.x, top, group.width, _address_height(address), "plain")
    pen.mono(group.x + 10, top + 17, address.text, group.width - 20)
    for row, presents in enumerate(address.presents):
        y = _presents_y(top, row)
        pen.sign(group.x + 18, y, presents.state)
        pen.words(
            group.x + 32,
            y + 4,
            f"{presents.label}: {presents.note}" if presents.note else presents.label,
            group.width - 40,
        )


def _draw_chain(pen: Pen, group: _Group, top: int, chain: Certificates) -> None:
    pen.box(group.x, top, group.width, _chain_height(chain), chain.state)
    pen.sign(group.x + 16, top + CHAIN_HEAD // 2 + 1, chain.state)
    pen.words(group.x + 30, top + 17, chain.name, group.width - 40, strong=True)
    for row, certificate in enumerate(chain.rows):
        y = _certificate_y(top, row)
        pen.rule(group.x, y - CHAIN_ROW // 2, group.width)
        pen.words(group.x + 12, y + 4, str(row), 16, strong=certificate.state == "good")
        pen.mono(group.x + 30, y - 2, certificate.label, group.width - 38)
        pen.words(group.x + 30, y + 12, certificate.note, group.width - 38, small=True)
    if chain.more:
        y = top + CHAIN_HEAD + CHAIN_ROW * len(chain.rows) + 12
        pen.words(group.x + 30, y, f"and {chain.more} more", group.width - 38, small=True)
