"""Results as Markdown tables, which are as easily read on a terminal: columns are padded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from benchmarks.results import Result, Row
from benchmarks.turns import Summary

_FIGURES = {
    "wall_s": "wall s",
    "cpu_s_per_gb": "CPU s/GB",
    "cpu_s_per_1000": "CPU s/1000",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "peak_mib": "peak MiB",
    "answer_gb_per_s": "GB/s until the answer",
    "database_mib": "database MiB",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns."""
    widths = [max(len(line[at]) for line in (head, *rows)) for at in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def describe(result: Result) -> str:
    """All tables of a result, with what is missing."""
    return "\n\n".join(_parts(result))


def _parts(result: Result) -> Iterator[str]:
    if result.grid:
        yield from _grids(result)
    else:
        for work in dict.fromkeys(row.work for row in result.rows):
            yield f"**{work}**"
            yield _list([row for row in result.rows if row.work == work])
    if result.ratios:
        yield "**Ratios**"
        yield table(
            ("ours against theirs", "ratio", "target", "", "limit", "note"),
            [
                (
                    ratio.work,
                    f"{ratio.value:.2f}",
                    ratio.wanted,
                    "reached" if ratio.reached else "NOT REACHED",
                    ratio.limit,
                    ratio.note,
                )
                for ratio in result.ratios
            ],
        )
    if result.missing:
        yield "Not measured here:\n\n" + "\n".join(f"- {line}" for line in result.missing)


def _list(rows: Sequence[Row]) -> str:
    names = [name for name in _FIGURES if any(name in row.figures for row in rows)]
    notes = any(row.note for row in rows)
    head = ["contender", rows[0].unit, "quartiles", *(_FIGURES[name] for name in names), "turns"]
    body = [
        [
            row.contender,
            number(row.rate.median),
            quartiles(row.rate),
            *(number(row.figures[name]) if name in row.figures else "" for name in names),
            str(row.rate.turns),
            *([row.note] if notes else []),
        ]
        for row in rows
    ]
    return table([*head, *(["note"] if notes else [])], body)


def _grids(result: Result) -> Iterator[str]:
    works = list(dict.fromkeys(row.work for row in result.rows))
    cells = {(row.contender, row.work): row for row in result.rows}
    contenders = list(dict.fromkeys(row.contender for row in result.rows))
    figures: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("GB/s, median", lambda row: number(row.rate.median)),
        ("GB/s, quartiles", lambda row: quartiles(row.rate)),
        ("CPU-seconds per GB, median", lambda row: number(row.figures["cpu_s_per_gb"])),
    )
    for title, pick in figures:
        yield f"**{title}**"
        yield table(
            ("contender", *works),
            [
                (name, *(pick(cells[name, work]) if (name, work) in cells else "" for work in works))
                for name in contenders
            ],
        )


def quartiles(found: Summary) -> str:
    """The first and third quartile."""
    return f"{number(found.lower)}-{number(found.upper)}"


def number(value: float) -> str:
    """Three digits that count, or all of a whole number."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
