"""Pictures of what warms up and what waits, as inline SVG: a ramp, shares against lines, key ages, volume, levels.

Guarantees: no colour, style or script of its own, only class names that the admin's stylesheet paints, so that a
picture follows light and dark under the strictest policy; every word from outside escaped; a title and a
description for whoever cannot see it. Drawn 360 units wide: what is legible on a phone is not crowded at a desk.
Refuses to be the only place of a figure: a table with the same values stands beside each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from html import escape
from math import sqrt
from typing import Final

import svg

WIDE: Final = 360.0
LEFT: Final = 40.0  # room for "20,000"
ROW: Final = 52  # characters that stand beside each other in a picture
RIGHT: Final = WIDE - 4
TICK_ROOM: Final = 20.0  # two lines of the scale are no closer than this
RAMP_LIMITS: Final = {1: "line: holds", 2: "twice: steps down"}
SHARE_LINES: Final = 4  # shares are drawn up to this many times their line


class When(StrEnum):
    """Where a day stands, seen from now."""

    PAST = "past"
    TODAY = "today"
    FORECAST = "forecast"


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of a ramp, in recipients; ``cap`` None: without a cap. ``opened``: of today's cap, by now."""

    day: date
    cap: int | None
    used: int = 0
    reserved: int = 0
    when: When = When.PAST
    opened: int | None = None
    mark: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """How often something happened: its share of the outcomes, the interval it lies in, and the line it has."""

    name: str
    count: int
    of: int
    low: float
    high: float
    line: float

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else 0.0

    @property
    def verdict(self) -> str:
        """``over``: surely above twice the line; ``near``: surely above it; ``fine``: surely below; or ``unsure``."""
        if self.low > self.line:
            return "over" if self.low > 2 * self.line else "near"
        return "fine" if self.high <= self.line else "unsure"


@dataclass(frozen=True, slots=True)
class Age:
    """How old a key is, and after how many days it is rotated (0: by hand)."""

    name: str
    state: str
    days: int
    limit: int


@dataclass(frozen=True, slots=True)
class Level:
    """How much there was of something at an instant, which its name says."""

    name: str
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A stretch of time and how many recipients it had."""

    name: str
    count: int
    now: bool = False


class _Scale:
    """Numbers to heights. The square root keeps the first days of a ramp in sight, which grows by the power."""

    def __init__(self, greatest: float, top: float, bottom: float, *, root: bool = False) -> None:
        self.greatest, self.top, self.bottom, self.root = max(greatest, 1.0), top, bottom, root

    def y(self, number: float) -> float:
        part = min(max(number, 0.0) / self.greatest, 1.0)
        return round(self.bottom - (self.bottom - self.top) * (sqrt(part) if self.root else part), 1)

    def ticks(self) -> Iterator[int]:
        """Round numbers from the greatest downwards, as many as there is room for."""
        last = self.top - TICK_ROOM
        for number in _round_numbers_below(self.greatest):
            if self.y(number) - last >= TICK_ROOM and self.bottom - self.y(number) >= TICK_ROOM / 2:
                last = self.y(number)
                yield number


def ramp(bars: Sequence[Bar], title: str) -> str:
    """Days as bars: the cap as outline, what is used and reserved of it, today's opened part, forecast dashed."""
    top, bottom, high = 14.0, 148.0, 170.0
    scale = _Scale(max((_height(bar) for bar in bars), default=1), top, bottom, root=True)
    slot = (RIGHT - LEFT) / max(len(bars), 1)
    drawn: list[svg.Element] = [*_grid(scale)]
    for place, bar in enumerate(bars):
        drawn.append(_day(bar, scale, LEFT + place * slot, min(slot - 2, 18.0)))
    drawn += _dates(bars, slot, bottom + 14)
    described = f"{len(bars)} days. Heights grow as the square root of the number of recipients."
    return _picture(high, title, described, drawn)


def shares(rows: Sequence[Share], title: str, limits: Mapping[int, str] = RAMP_LIMITS) -> str:
    """Each share as a dot with its interval as a whisker, in times of its own line; ``limits`` names some of them."""
    high = 18.0 + 34 * len(rows)
    unit = (RIGHT - 8) / SHARE_LINES
    drawn: list[svg.Element] = []
    for times, word in limits.items():
        drawn.append(_line(4 + times * unit, 14, 4 + times * unit, high - 4, "limit"))
        drawn.append(_text(4 + times * unit, 10, word, "middle"))
    for place, row in enumerate(rows):
        drawn += _whisker(row, 18.0 + 34 * place, unit)
    return _picture(high, title, "; ".join(f"{row.name}: {told(row)}" for row in rows), drawn)


def ages(keys: Sequence[Age], title: str) -> str:
    """Each key's age as a bar, with a line where it is due for rotation."""
    high, greatest = 16.0 + 32 * len(keys), max([1, *(max(key.days, key.limit) for key in keys)])
    unit = (RIGHT - 4) / (1.05 * greatest)
    drawn: list[svg.Element] = []
    for place, key in enumerate(keys):
        y = 12.0 + 32 * place
        late = "over" if key.limit and key.days >= key.limit else key.state
        drawn.append(_text(4, y, key.name))
        drawn.append(
            _text(RIGHT, y, f"{key.days} of {key.limit} days" if key.limit else f"{key.days} days", "end")
        )
        drawn.append(_rect(4, y + 5, max(key.days * unit, 1.5), 10, "age", late))
        if key.limit:
            drawn.append(_line(4 + key.limit * unit, y + 3, 4 + key.limit * unit, y + 17, "limit"))
    told_ages = "; ".join(f"{key.name}, {key.state}: {key.days} of {key.limit} days" for key in keys)
    return _picture(high, title, told_ages, drawn)


def volume(columns: Sequence[Column], line: int, title: str, called: str) -> str:
    """Recipients per stretch of time as columns, with the line they must be seen against."""
    top, bottom, high = 16.0, 128.0, 150.0
    scale = _Scale(max([line * 1.1, *(column.count for column in columns)]), top, bottom)
    slot = (RIGHT - LEFT) / max(len(columns), 1)
    drawn: list[svg.Element] = [*_grid(scale)]
    every = max(round(len(columns) / 5), 1)
    for place, column in enumerate(columns):
        x, y = LEFT + place * slot, scale.y(column.count)
        label = f"{column.name}: {column.count:,}"
        shape = _rect(x + 1, y, slot - 2, bottom - y, "used", "today" if column.now else "past")
        drawn.append(svg.G(elements=[_title(label), shape]))
        if (len(columns) - 1 - place) % every == 0:
            drawn.append(_below(x + slot / 2, bottom + 14, column.name))
    drawn.append(_line(LEFT, scale.y(line), RIGHT, scale.y(line), "limit"))
    drawn.append(_text(LEFT + 2, scale.y(line) - 4, called))
    return _picture(high, title, f"The line is at {line:,} recipients.", drawn)


def levels(points: Sequence[Level], title: str, described: str) -> str:
    """A level over time as an area, each point of which holds until the next; a few of them by their names."""
    top, bottom, high = 14.0, 118.0, 140.0
    scale = _Scale(max((point.height for point in points), default=1), top, bottom)
    slot = (RIGHT - LEFT) / max(len(points), 1)
    outline: list[svg.Point] = [svg.Point(LEFT, bottom)]
    drawn: list[svg.Element] = [*_grid(scale)]
    every = max(round(len(points) / 3), 1)
    for place, point in enumerate(points):
        x, y = round(LEFT + place * slot, 1), scale.y(point.height)
        outline += [svg.Point(x, y), svg.Point(round(x + slot, 1), y)]
        if (len(points) - 1 - place) % every == 0:
            drawn.append(_below(x + slot / 2, bottom + 14, point.name))
    outline.append(svg.Point(RIGHT, bottom))
    drawn.append(svg.Polygon(points=outline, class_=["level"]))
    return _picture(high, title, described, drawn)


def shortened(name: str, most: int) -> str:
    """A name cut in its middle to so many characters: scopes differ at both ends."""
    if len(name) <= most:
        return name
    head = (most - 1) // 2
    return f"{name[:head]}…{name[head + 1 - most :]}"


def told(row: Share) -> str:
    """A share in words: ``1.2 % of 480 (0.6 to 2.7), line 2 %``."""
    if not row.of:
        return "nothing seen yet"
    inside = f"{_percent(row.low)} to {_percent(row.high)}"
    return f"{_percent(row.value)} % of {row.of:,} ({inside}), line {_percent(row.line)} %"


def _day(bar: Bar, scale: _Scale, x: float, wide: float) -> svg.Element:
    taken, drawn = bar.used + bar.reserved, [_title(bar.words)]
    if bar.used:
        drawn.append(
            _rect(x + 1, scale.y(bar.used), wide, scale.bottom - scale.y(bar.used), "used", bar.when)
        )
    if bar.reserved:
        drawn.append(
            _rect(x + 1, scale.y(taken), wide, scale.y(bar.used) - scale.y(taken), "reserved", bar.when)
        )
    if bar.cap is not None:
        drawn.append(_rect(x + 1, scale.y(bar.cap), wide, scale.bottom - scale.y(bar.cap), "cap", bar.when))
    if bar.opened is not None:
        drawn.append(_line(x - 1, scale.y(bar.opened), x + wide + 3, scale.y(bar.opened), "opened"))
    if bar.mark:
        drawn.append(_mark(bar.mark, x + 1 + wide / 2, scale.y(_height(bar)) - 3))
    return svg.G(elements=drawn, class_=["day", str(bar.when)])


def _mark(kind: str, x: float, y: float) -> svg.Element:
    """A triangle that points where the ramp went; a bar where it stood."""
    if kind == "advanced":
        path: list[svg.PathData] = [svg.M(x - 3, y), svg.L(x, y - 5), svg.L(x + 3, y), svg.Z()]
    elif kind in {"held", "opened"}:
        path = [svg.M(x - 3, y - 3), svg.H(x + 3), svg.V(y), svg.H(x - 3), svg.Z()]
    else:
        path = [svg.M(x - 3, y - 6), svg.L(x + 3, y - 6), svg.L(x, y), svg.Z()]
    return svg.Path(d=path, class_=["mark", kind.replace("_", "-")])


def _dates(bars: Sequence[Bar], slot: float, y: float) -> Iterator[svg.Element]:
    """Mondays by their date, and today by its name."""
    now = next((place for place, bar in enumerate(bars) if bar.when is When.TODAY), None)
    for place, bar in enumerate(bars):
        x = LEFT + (place + 0.5) * slot
        if place == now:
            yield _below(x, y, "today", "today")
        elif bar.day.weekday() == 0 and (now is None or abs(place - now) * slot > 34):
            yield _below(x, y, f"{bar.day.day} {bar.day:%b}")


def _whisker(row: Share, y: float, unit: float) -> Iterator[svg.Element]:
    """One share: its words above, below them its interval, cut where the picture ends."""
    middle = y + 24
    figure = f"{_percent(row.value)} % of {row.of:,}" if row.of else "none yet"
    yield svg.G(elements=[_title(row.name), _text(4, y + 14, shortened(row.name, ROW - len(figure)))])
    yield _text(RIGHT, y + 14, figure, "end")
    yield _line(4, middle, RIGHT, middle, "track")
    if not row.of:
        return
    low, at, high = (
        4 + min(share / row.line, SHARE_LINES) * unit for share in (row.low, row.value, row.high)
    )
    yield _line(low, middle, high, middle, "whisker", row.verdict)
    for end in (low, high):
        yield _line(end, middle - 4, end, middle + 4, "whisker", row.verdict)
    yield svg.Circle(cx=round(at, 1), cy=middle, r=4, class_=["dot", row.verdict])


def _grid(scale: _Scale) -> Iterator[svg.Element]:
    yield _line(LEFT, scale.bottom, RIGHT, scale.bottom, "axis")
    for number in scale.ticks():
        yield _line(LEFT, scale.y(number), RIGHT, scale.y(number), "grid")
        yield _text(LEFT - 5, scale.y(number) + 4, f"{number:,}", "end")


def _round_numbers_below(greatest: float) -> Iterator[int]:
    power = 10 ** max(len(str(int(greatest))) - 1, 0)
    while power:
        yield from (factor * power for factor in (5, 2, 1) if factor * power <= greatest)
        power //= 10


def _height(bar: Bar) -> int:
    return max(bar.cap or 0, bar.used + bar.reserved)


def _percent(share: float) -> str:
    """A share of one as percent, to two figures that tell something: 0.08, 1.2, 12."""
    percent = 100 * share
    if percent >= 10:
        return f"{percent:.0f}"
    return f"{percent:.{1 if percent >= 1 else 2}f}".rstrip("0").rstrip(".")


def _picture(high: float, title: str, described: str, drawn: Sequence[svg.Element]) -> str:
    about = [_title(title), svg.Desc(text=escape(described))]
    frame = svg.ViewBoxSpec(0, 0, WIDE, high)
    whole = svg.SVG(viewBox=frame, class_=["ao-picture"], elements=[*about, *drawn], extra={"role": "img"})
    return whole.as_str()


def _title(words: str) -> svg.Element:
    return svg.Title(text=escape(words))


def _text(x: float, y: float, words: str, *classes: str) -> svg.Element:
    return svg.Text(x=round(x, 1), y=round(y, 1), text=escape(words), class_=[*classes] or None)


def _below(x: float, y: float, words: str, *classes: str) -> svg.Element:
    """A label in the middle below something, or at the edge where it would stick out."""
    at_edge = x > RIGHT - 18
    return _text(RIGHT if at_edge else x, y, words, "end" if at_edge else "middle", *classes)


def _line(x1: float, y1: float, x2: float, y2: float, *classes: str) -> svg.Element:
    return svg.Line(x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1), y2=round(y2, 1), class_=[*classes])


def _rect(x: float, y: float, wide: float, high: float, *classes: str) -> svg.Element:
    return svg.Rect(
        x=round(x, 1),
        y=round(y, 1),
        width=round(max(wide, 0.5), 1),
        height=round(max(high, 0.5), 1),
        class_=[str(word) for word in classes],
    )
