"""Results as SVG: bars per piece of work, lines over sizes. No library: a chart here is a few dozen elements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.results import Result, Row
from benchmarks.tables import number

_WIDTH, _LEFT, _BAR = 960, 330, 18
_BLUE, _GREY = "#1b6ca8", "#9aa5b1"
_COLOURS = (_BLUE, "#d1495b", "#edae49", "#66a182", "#2e4057", "#8d5a97", "#00798c", "#a26769", "#7d8491", "#bc6c25")


def bars(title: str, unit: str, rows: Sequence[Row]) -> str:
    """Medians as bars, quartiles as a line across their ends."""
    most = max(row.rate.upper for row in rows) or 1.0
    scale = (_WIDTH - _LEFT - 90) / most

    def draw() -> Iterator[str]:
        yield _text(10, 18, f"{title} ({unit})", weight="bold")
        for at, row in enumerate(rows):
            top = 34 + at * (_BAR + 8)
            middle = top + _BAR / 2
            colour = _BLUE if row.contender.startswith("artifact-store") else _GREY
            yield _text(_LEFT - 8, middle + 4, row.contender, anchor="end")
            width = f'width="{row.rate.median * scale:.1f}" height="{_BAR}"'
            yield f'<rect x="{_LEFT}" y="{top}" {width} fill="{colour}"/>'
            yield _line(_LEFT + row.rate.lower * scale, middle, _LEFT + row.rate.upper * scale, middle, "#111", 1.5)
            yield _text(_LEFT + row.rate.upper * scale + 6, middle + 4, number(row.rate.median))

    return _svg(40 + len(rows) * (_BAR + 8), draw())


def lines(title: str, result: Result) -> str:
    """A grid's medians: works across, a line for each contender, the axis of rates logarithmic."""
    works = list(dict.fromkeys(row.work for row in result.rows))
    contenders = list(dict.fromkeys(row.contender for row in result.rows))
    found = [row.rate.median for row in result.rows]
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    left, top, width, height = 60, 34, 520, 360

    def x(at: int) -> float:
        return left + width * at / max(1, len(works) - 1)

    def y(value: float) -> float:
        return top + height * (high - math.log10(value)) / max(1, high - low)

    def draw() -> Iterator[str]:
        yield _text(10, 18, title, weight="bold")
        for power in range(low, high + 1):
            yield _line(left, y(10**power), left + width, y(10**power), "#ddd", 1)
            yield _text(left - 6, y(10**power) + 4, f"{10**power:g}", anchor="end")
        for at, work in enumerate(works):
            yield _text(x(at), top + height + 18, work, anchor="middle")
        for at, name in enumerate(contenders):
            colour = _COLOURS[at % len(_COLOURS)]
            dash = "" if at < len(_COLOURS) else ' stroke-dasharray="5 3"'
            points = " ".join(
                f"{x(works.index(row.work)):.1f},{y(row.rate.median):.1f}"
                for row in result.rows
                if row.contender == name
            )
            yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
            yield _line(left + width + 14, top + 8 + 18 * at, left + width + 34, top + 8 + 18 * at, colour, 3)
            yield _text(left + width + 40, top + 12 + 18 * at, name)

    return _svg(max(top + height + 30, top + 18 * len(contenders) + 12), draw())


def _svg(height: float, elements: Iterator[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" font-family="sans-serif"'
    ground = f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>'
    return "\n".join([f'{head} font-size="12">', ground, *elements, "</svg>", ""])


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {where}>{escape(text)}</text>"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'
