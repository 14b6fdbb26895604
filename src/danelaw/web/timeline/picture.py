"""The picture of a timeline as SVG: time runs to the right, what is planned is hatched, and a line says where now is.

Two layouts: a wide one, and one for narrow screens, of two pictures side by side, the labels that stay and the chart
that scrolls under them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from danelaw.web.pen import STYLE as PEN_STYLE
from danelaw.web.timeline.chart import STYLE, Bar, Chart, room
from danelaw.web.timeline.scale import Scale, length
from danelaw.web.timeline.spans import KIND_WORDS, ROLE_WORDS, Group, Mark, MarkKind, Role, Row, Span, Timeline
from danelaw.web.words import shown

LABELS, CHART = 240, 760
NARROW_LABELS, NARROW_CHART = 124, 680
"""Widths, in the picture's own units (CSS pixels where it is shown at its size)."""

MARGIN = 12
"""Beside the scale, for what began before it or goes on behind it."""

ROW, HEADING, LANE = 30, 30, 19
MOST_LANES = 5
DATES = 28
"""Heights: a row, a group's heading, a line of marks, and a line of dates."""

NOW = 30
"""The width of the word."""

DATE = 68
"""The width of a date."""

UPRIGHT: frozenset[MarkKind] = frozenset({"cutover", "settled"})
"""Marks whose lines go through all rows."""

BAR_WORDS: dict[Role, str] = {
    "current": "current",
    "next": "next",
    "retired": "retired",
    "issuer": "CA",
    "foreign": "not our key",
    "answer": "",
    "refused": "refused",
}

FIRST: dict[MarkKind, int] = {"cutover": 0, "compromised": 1, "settled": 2, "failed": 3, "renewal": 4, "asked": 5}
"""Which marks are written first, where there is room for some only."""


class Placed(NamedTuple):
    """A mark in its lane; ``text`` "" where only its sign had room."""

    mark: Mark
    x: int
    lane: int
    text: str
    text_x: int


def picture(timeline: Timeline, *, name: str = "timeline", style: bool = True) -> Markup:
    """Return the wide picture: one ``<svg>`` with its title and description.

    ``style`` False leaves its colours to the page, which has them. ``name`` tells it from others on the same page.
    """
    pen = Chart(name)
    sheet = _Sheet(timeline, LABELS, CHART)
    sheet.draw_chart(pen)
    sheet.draw_labels(pen, 0, LABELS - 8, headings=LABELS + CHART // 2)
    css = Markup(PEN_STYLE + STYLE) if style else Markup("")  # noqa: S704 - our own text
    return pen.svg(LABELS + CHART, sheet.height, name, _title(timeline), description(timeline), css)


def narrow(timeline: Timeline, *, name: str = "timeline-narrow") -> tuple[Markup, Markup]:
    """Return the narrow picture: its labels, and the chart that scrolls beside them. Colours are the page's."""
    sheet = _Sheet(timeline, 0, NARROW_CHART)
    labels, chart = Chart(f"{name}-labels"), Chart(name)
    sheet.draw_labels(labels, 0, NARROW_LABELS - 6)
    sheet.draw_chart(chart)
    return (
        labels.svg(NARROW_LABELS, sheet.height, labels.name, "Its rows", "What each row of the picture is.", ""),
        chart.svg(NARROW_CHART, sheet.height, name, _title(timeline), description(timeline), ""),
    )


def _title(timeline: Timeline) -> str:
    return f"{timeline.name}: records, caches, keys and certificates over time"


def description(timeline: Timeline) -> str:
    """Return the picture in words: what each row is, and when."""
    rows = "; ".join(
        f"{' '.join(filter(None, (row.letter, shown(row.label, 40))))} ({row.note}): "
        + ", ".join(span_words(span, timeline.now) for span in row.spans)
        for group in timeline.groups
        for row in group.rows
    )
    marks = ", ".join(f"{mark.text} {instant(mark.at)}" for mark in timeline.marks)
    return f"Now is {instant(timeline.now)} UTC. {rows}. Marks: {marks or 'none'}."


def span_words(span: Span, now: datetime) -> str:
    """Return a span in words: what, whose, from when to when."""
    until = f"until {instant(span.end)}" if span.end else "with no end in sight"
    planned = ", planned" if span.start >= now else ", the end planned" if span.end and span.end > now else ""
    return f"{KIND_WORDS[span.kind]} ({ROLE_WORDS[span.role]}) from {instant(span.start)} {until}{planned}"


def instant(at: datetime) -> str:
    """Return an instant to the minute, UTC."""
    return f"{at:%Y-%m-%d %H:%M}"


class _Sheet:
    """A timeline laid out: where each instant and each row is. The chart begins at ``left``."""

    def __init__(self, timeline: Timeline, left: int, width: int) -> None:
        self.timeline, self.left, self.right = timeline, left, left + width
        instants = [timeline.start, timeline.now, timeline.end, *(mark.at for mark in timeline.marks)]
        for group in timeline.groups:
            for row in group.rows:
                instants += [at for span in row.spans for at in (span.start, span.end) if at is not None]
        within = [at for at in instants if timeline.start <= at <= timeline.end]
        self.scale = Scale(within, left + MARGIN, width - 2 * MARGIN)
        self.now_x = min(self.x(timeline.now) - 12, self.right - NOW - 2)
        self.marks = self._placed()
        self.lanes = 1 + max((each.lane for each in self.marks), default=0)
        self.axis = self.lanes * LANE + 20
        self.dates = self._dated()
        self.dated = self.axis + 4 + DATES * (1 + max(line for _, _, line in self.dates))
        self.top = self.dated + 6
        self.height = self.top + sum(_height(group) for group in timeline.groups) + 4

    def x(self, at: datetime) -> int:
        return round(self.scale.x(at))

    def _placed(self) -> list[Placed]:
        """Put marks into lanes, the most telling first; those of one kind at one instant are one."""
        same: dict[tuple[MarkKind, str, int], list[Mark]] = {}
        for mark in self.timeline.marks:
            if not self.timeline.start <= mark.at <= self.timeline.end:
                continue
            same.setdefault((mark.kind, mark.text, self.x(mark.at)), []).append(mark)
        taken: list[list[tuple[float, float]]] = [[] for _ in range(MOST_LANES)]
        taken[0].append((self.now_x - 4, self.now_x + NOW))
        placed = []
        for (_, text, x), marks in sorted(same.items(), key=lambda item: (FIRST.get(item[0][0], 9), item[0][2])):
            words = f"{len(marks)} times: {text}" if len(marks) > 1 else text
            wide = room(words) + 4
            text_x = x + 11 if x + 11 + wide <= self.right else round(x - 11 - wide)
            whole = (min(x - 9, text_x - 3), max(x + 9, text_x + wide))
            for reach, said in ((whole, words), ((x - 9, x + 9), "")):
                lane = next((n for n, lane in enumerate(taken) if _free(lane, reach)), None)
                if lane is not None:
                    taken[lane].append(reach)
                    placed.append(Placed(marks[0], x, lane, said, text_x))
                    break
        return placed

    def draw_labels(self, pen: Chart, x: int, width: int, *, headings: int = 0) -> None:
        """Write what each row is; the groups' headings at full length where they have room of ``headings``."""
        pen.words(x + 2, self.axis + 14, "UTC", width, small=True)
        y = self.top
        for group in self.timeline.groups:
            pen.words(x + 2, y + 20, group.heading if headings else group.kind, headings or width, strong=True)
            y += HEADING
            for row in group.rows:
                indent = 20 if row.letter else 2
                if row.letter:
                    pen.words(x + 2, y + 13, row.letter, 18, strong=True)
                pen.mono(x + indent, y + 13, row.label, width - indent)
                pen.words(x + indent, y + 25, row.note, width - indent, small=True)
                y += ROW
            if group.left_out or not group.rows:
                pen.note(x + 2, y + 12, group.left_out or "none", width)
                y += 18

    def draw_chart(self, pen: Chart) -> None:
        """Draw the axis, the marks and every row."""
        pen.hatchings()
        self._draw_sheets(pen)
        self._draw_axis(pen)
        for each in self.marks:
            if each.mark.kind in UPRIGHT:
                self._draw_upright(pen, each.x, each.lane * LANE + 18, "at")
        y = self.top
        for group in self.timeline.groups:
            if not self.left:
                pen.few(6, y + 20, shown(group.heading, 90), "over")
            y += HEADING
            for row in group.rows:
                self._draw_row(pen, row, y + ROW // 2)
                y += ROW
            y += 18 if group.left_out or not group.rows else 0
        now = self.x(self.timeline.now)
        self._draw_upright(pen, now, 18, "now")
        pen.words(self.now_x, 13, "now", NOW, strong=True)
        for each in self.marks:
            tip = f"{each.text or each.mark.text}, {instant(each.mark.at)}"
            pen.flag(each.x, each.lane * LANE + 10, each.mark.kind, tip)
            if each.text:
                pen.few(each.text_x, each.lane * LANE + 14, each.text, "small over")

    def _draw_sheets(self, pen: Chart) -> None:
        y = self.top
        for group in self.timeline.groups:
            high = ROW * len(group.rows) + (18 if group.left_out or not group.rows else 0)
            pen.sheet(self.left, y + HEADING, self.right - self.left - 1, high)
            for number in range(1, len(group.rows), 2):
                pen.sheet(self.left + 1, y + HEADING + number * ROW, self.right - self.left - 3, ROW, "lane")
            y += HEADING + high

    def _draw_axis(self, pen: Chart) -> None:
        """Draw a tick at each knot, dates where there is room for them, and how long the stretches between are."""
        pen.across(self.left, self.right, self.axis, "axis")
        for place in self.scale.places:
            pen.upright(round(place), self.axis - 3, self.axis + 3, "axis")
        for stretch in self.scale.stretches:
            said = length(stretch.end - stretch.start)
            if room(said) + 8 <= stretch.right - stretch.left:
                pen.few(round((stretch.left + stretch.right - room(said)) / 2), self.axis - 5, said)
        for at, middle, line in self.dates:
            x, y = self.x(at), self.axis + DATES * line
            if line:
                pen.upright(x, self.axis, y + 6, "grid")
            pen.upright(x, y + 32 if line else self.dated, self.height - 4, "grid")
            pen.instant(middle, y + 15, f"{at:%Y-%m-%d}")
            pen.instant(middle, y + 27, f"{at:%H:%M}")

    def _draw_upright(self, pen: Chart, x: int, top: int, kind: str) -> None:
        """Draw a line down through the rows, which leaves the dates out."""
        pen.upright(x, top, self.axis + 4, kind)
        pen.upright(x, self.dated, self.height - 4, kind)

    def _dated(self) -> list[tuple[datetime, int, int]]:
        """Return the instants that a date has room at, with its middle and its line, the most telling first."""
        lines = [each.mark.at for each in self.marks if each.mark.kind in UPRIGHT]
        others = [each.mark.at for each in self.marks if each.text]
        wanted = [self.timeline.now, *lines, self.timeline.start, self.timeline.end, *others, *self.scale.knots]
        chosen: dict[int, tuple[datetime, int, int]] = {}
        for at in wanted:
            x = self.x(at)
            middle = min(max(x, self.left + DATE // 2), self.right - DATE // 2)
            beside = [abs(middle - other) >= DATE for _, other, line in chosen.values() if line == 0]
            below = [abs(middle - other) >= DATE for _, other, line in chosen.values() if line == 1]
            clear = all(abs(x - other) > DATE // 2 for _, other, line in chosen.values() if line == 0)
            if x in chosen:
                continue
            if all(beside) and all(abs(middle - at_x) > DATE // 2 for at_x, (_, _, line) in chosen.items() if line):
                chosen[x] = (at, middle, 0)
            elif clear and all(below):
                chosen[x] = (at, middle, 1)
        return list(chosen.values())

    def _draw_row(self, pen: Chart, row: Row, middle: int) -> None:
        now = self.timeline.now
        for span in row.spans:
            if (span.end is not None and span.end < self.timeline.start) or span.start > self.timeline.end:
                continue
            tip = span_words(span, now)
            for planned in (False, True):
                start = max(span.start, now) if planned else span.start
                end = span.end if planned else min(span.end or now, now)
                if end is not None and (end < start or (end == start and not (span.start == span.end and not planned))):
                    continue
                if not planned and span.start >= now:
                    continue
                self._draw_bar(pen, Span(start, end, span.kind, span.role), middle, tip, planned=planned)

    def _draw_bar(self, pen: Chart, span: Span, middle: int, tip: str, *, planned: bool) -> None:
        timeline = self.timeline
        back, on = span.start < timeline.start, span.end is None or span.end > timeline.end
        bar = Bar(
            self.left + 6 if back else self.x(span.start),
            self.right - 7 if on or span.end is None else self.x(span.end),
            middle,
            goes_back=back,
            goes_on=on,
        )
        pen.bar(bar, span.kind, span.role, tip, planned=planned)
        if span.kind in {"served", "partly", "live"} or span.role == "refused":
            word = "live" if span.kind == "live" else BAR_WORDS[span.role]
            pen.inside(bar.left, bar.right, middle, word, planned=planned or span.kind in {"partly", "cached"})


def _height(group: Group) -> int:
    return HEADING + ROW * len(group.rows) + (18 if group.left_out or not group.rows else 0)


def _free(taken: Sequence[tuple[float, float]], reach: tuple[float, float]) -> bool:
    return all(reach[1] <= left or right <= reach[0] for left, right in taken)
