"""Results as SVG: bars per piece of work, lines over sizes. No library: a chart is a few dozen elements."""

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


type _Lines = dict[str, dict[str, float]]  # by contender and work: its median

_OTHERS = "others"
_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT = 2, _WIDTH / 2, 230
_GRID = (46, 34, 214, 160)  # left, top, width, height within a panel; the names of the lines are to its right


def lines(title: str, result: Result, reference: str | None = None) -> str:
    """A grid's medians as small panels with the same axes: works across, rates upward, logarithmic.

    Contenders called `way [variant]` are the lines of the way's panel, and `reference`, in grey, with them. Those
    without a variant have a panel of their own.
    """
    works = list(dict.fromkeys(row.work for row in result.rows))
    rates = [row.rate.median for row in result.rows]
    powers = range(math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates))) + 1)
    panels = _panels(result)
    if reference in panels.get(_OTHERS, {}):
        for way, members in panels.items():
            if way != _OTHERS:
                members[reference] = panels[_OTHERS][reference]

    def draw() -> Iterator[str]:
        yield _text(10, 18, title, weight="bold")
        for at, (way, members) in enumerate(panels.items()):
            left, top = at % _COLUMNS * _PANEL_WIDTH, 24 + at // _COLUMNS * _PANEL_HEIGHT
            yield f'<g transform="translate({left:.0f} {top:.0f})">'
            yield from _panel(way, works, powers, members, reference if way != _OTHERS else None)
            yield "</g>"

    return _svg(24 + math.ceil(len(panels) / _COLUMNS) * _PANEL_HEIGHT, draw())


def _panels(result: Result) -> dict[str, _Lines]:
    found: dict[str, _Lines] = {}
    for row in result.rows:
        way, bracket, variant = row.contender.removesuffix("]").partition(" [")
        panel = found.setdefault(way if bracket else _OTHERS, {})
        panel.setdefault(variant or row.contender, {})[row.work] = row.rate.median
    return found


def _panel(
    name: str, works: Sequence[str], powers: range, members: _Lines, reference: str | None = None
) -> Iterator[str]:
    left, top, width, height = _GRID

    def x(work: str) -> float:
        return left + width * works.index(work) / max(1, len(works) - 1)

    def y(value: float) -> float:
        return top + height * (powers[-1] - math.log10(value)) / max(1, len(powers) - 1)

    yield _text(left, top - 10, name, weight="bold")
    for power in powers:
        yield _line(left, y(10**power), left + width, y(10**power), "#ddd", 1)
        yield _text(left - 6, y(10**power) + 4, f"{10**power:g}", anchor="end")
    for work in works[:: max(1, len(works) // 4)]:  # as many as there is room for
        yield _text(x(work), top + height + 18, work, anchor="middle")
    for at, (member, medians) in enumerate(members.items()):
        colour = _GREY if member == reference else _COLOURS[at % len(_COLOURS)]
        points = " ".join(f"{x(work):.1f},{y(rate):.1f}" for work, rate in medians.items())
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        middle = top + 8 + 18 * at
        yield _line(left + width + 10, middle, left + width + 24, middle, colour, 3)
        yield _text(left + width + 28, middle + 4, member)


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
