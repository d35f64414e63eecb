"""The benchmark suites at tiny sizes: that they run and say what they should, never how fast anything is."""

from __future__ import annotations

import json
import sqlite3
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from artifactstore.hashing import DualDigest, active_kernel, kernels
from artifactstore.registry.migration import DATABASE_FILE
from benchmarks import machine, plots, report
from benchmarks.contenders import DockerRegistry, Naive, Nginx, Rclone
from benchmarks.ingest import suite as ingest
from benchmarks.kernel import contenders as ways
from benchmarks.kernel import suite as kernel
from benchmarks.registry import suite as registry
from benchmarks.results import Ratio, Result, Row, newest
from benchmarks.search import suite as search
from benchmarks.serve import suite as serve
from benchmarks.tables import describe, table
from benchmarks.turns import Sample, Summary, paired, rate, take_turns


def check(result: Result, results: Path) -> set[str]:
    """What holds of every result; the contenders it has."""
    file = result.store(results)
    assert Result.load(file) == result
    assert newest(results)[result.suite] == file
    assert file.parent.name == machine.directory_name(result.machine)
    document = json.loads(file.read_text())
    assert {"date", "cpu", "cores", "kernel", "file_system", "python", "compiler", "commit"} <= set(document["machine"])
    assert document["machine"]["file_system"] != "unknown"
    assert all("reached" in ratio for ratio in document["ratios"])
    text = describe(result)
    for row in result.rows:
        assert 0 < row.rate.lower <= row.rate.median <= row.rate.upper
        assert row.contender in text
        assert row.work in text
    for ratio in result.ratios:
        assert ratio.value > 0
        assert ratio.work in text
    assert all(line in text for line in result.missing)
    page = report.write(results, results / "PAGE.md")
    assert text in page.read_text()
    drawn = list(file.parent.glob("*.svg"))
    assert len(drawn) == (1 if result.grid else len({row.work for row in result.rows}))
    for plot in drawn:
        ET.parse(plot)
        assert plot.name in page.read_text()
    return {row.contender for row in result.rows}


def test_the_kernel_suite_measures_every_kernel_and_restores_the_one_in_use(tmp_path: Path) -> None:
    before = active_kernel()
    result = kernel.run(sizes=(64, 4096, 65536), turns=2, seconds=0.0, root=tmp_path)
    assert active_kernel() == before
    found = check(result, tmp_path)
    for name in kernels():
        assert {ways.named(ways.DUAL_HASHER, name), ways.named(ways.DUAL_DIGEST, name)} <= found
    assert {ways.HASHLIB, ways.WHEEL, ways.PAIR, "hashlib SHA-256, no SHA-NI"} <= found
    for name in (ways.SHA256_ALONE, ways.BLAKE3_ALONE, ways.TWO_LANES, ways.TWO_LANES_SHA256):
        assert any(item.startswith(name) for item in (*found, *result.missing))


def test_our_ways_of_digesting_agree_with_the_others() -> None:
    data = bytes(range(256)) * 17
    with ThreadPoolExecutor(1) as threads:
        theirs = {item.name: item.digest(data) for item in ways.theirs(threads)}
    assert theirs[ways.PAIR] == theirs["hashlib and wheel on 2 threads"]
    assert theirs[ways.PAIR] == (theirs[ways.HASHLIB], theirs[ways.WHEEL])
    for item in ways.ours(active_kernel()):
        if item.name.startswith((ways.DUAL_HASHER, ways.DUAL_DIGEST)):
            digest = item.digest(data)
            assert isinstance(digest, DualDigest)
            assert (digest.sha256, digest.blake3) == theirs[ways.PAIR]


def test_the_ingest_suite_measures_or_names_every_opponent(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    result = ingest.run(root=root, size=2**20, turns=1, seconds=0.0, small_seconds=0.1)
    found = check(result, tmp_path)
    assert {"artifact-store", Naive.name, ingest.DROP, ingest.DIGEST, ingest.PROTOCOL} <= found
    for name in (Nginx.name, DockerRegistry.name, Rclone.name, ingest.DIRECT):
        assert (name in found) != any(line.startswith(f"{name}: ") for line in result.missing)
    assert [file for file in (root / "artifact-store" / "objects").rglob("*") if file.is_file()] == []
    for row in result.rows:
        if row.contender == "artifact-store" and row.unit == "GB/s":
            assert row.figures["peak_mib"] > 0


def test_the_serve_suite_measures_or_names_every_opponent(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    result = serve.run(root=root, size=3 * 2**20, turns=1, seconds=0.0, small_seconds=0.1)
    found = check(result, tmp_path)
    assert {"artifact-store", "aiohttp static", serve.MEMORY} <= found
    assert (Nginx.name in found) != any(line.startswith("nginx: ") for line in result.missing)


def test_without_wrk_all_small_requests_come_from_our_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    result = serve.run(root=tmp_path, size=2**20, turns=1, seconds=0.0, small_seconds=0.1)
    assert result.settings["client_of_small_requests"] == "the suite's own client"
    assert [line.partition(":")[0] for line in result.missing] == ["nginx", "wrk"]


def test_the_registry_suite_writes_the_same_rows_twice(tmp_path: Path) -> None:
    result = registry.run(root=tmp_path, milestones=(100, 300), block=64)
    found = check(result, tmp_path)
    assert {registry.OURS, registry.BARE} <= found
    assert {"100 events", "300 events"} <= found
    assert len(result.ratios) == 8
    rows = []
    for file in (tmp_path / "registry" / DATABASE_FILE, tmp_path / "bare-300.sqlite"):
        connection = sqlite3.connect(file)
        rows.append(
            [
                sorted(connection.execute(f"SELECT * FROM {table}"))
                for table in ("events", "objects", "artifacts", "names")
            ]
        )
        connection.close()
    assert rows[0] == rows[1]


def test_the_search_suite_asks_every_kind_of_question_and_goes_to_far_pages(tmp_path: Path) -> None:
    result = search.run(root=tmp_path, artifacts=400, far=3)
    found = check(result, tmp_path)
    assert {"first page", "page 3", "sources, to depth 5", "derived, to depth 2"} <= found
    kinds = {row.work.removeprefix("search by ").partition(",")[0] for row in result.rows}
    assert {"namespace", "name prefix", "kind", "label equals", "label exists", "media type", "digest"} <= kinds
    assert result.rows[0].figures["database_mib"] > 0
    assert result.ratios


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def turn(name: str) -> Sample:
        order.append(name)
        return Sample(1, 1)

    taken = take_turns({name: partial(turn, name) for name in "abc"}, 9, seconds=60.0)
    turns = [tuple(order[at : at + 3]) for at in range(0, 27, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in turns)
    assert len(set(turns)) > 3, "whom somebody comes after is another in each turn"
    assert {name: len(samples) for name, samples in taken.items()} == {"a": 9, "b": 9, "c": 9}


def test_turns_end_with_the_time_but_not_before_the_least() -> None:
    taken = take_turns({"a": lambda: Sample(1, 1)}, 100, seconds=0.0, least=4)
    assert len(taken["a"]) == 4


def test_a_ratio_is_of_turns_taken_together() -> None:
    # the machine was ten times slower in the second turn, for both
    ours = [Sample(20, 1), Sample(20, 10), Sample(20, 1)]
    theirs = [Sample(10, 1), Sample(10, 10), Sample(10, 1)]
    assert paired(ours, theirs, rate) == Summary(2.0, 2.0, 2.0, 3)
    assert Ratio.of("speed", ours, theirs, 2.0).reached
    assert not Ratio.of("speed", ours, theirs, 2.1).reached
    assert Ratio.of("cost", ours, theirs, 2.0, at_most=True).reached
    assert not Ratio.of("cost", ours, theirs, 1.9, at_most=True).reached
    assert Ratio.of("cost", ours, theirs, 1.9, at_most=True).wanted == "<= 1.9"


def test_rows_are_in_their_unit() -> None:
    row = Row.of("work", "it", "GB/s", [Sample(3e9, 2.0, 6.0)])
    assert (row.rate.median, row.figures) == (1.5, {"wall_s": 2.0, "cpu_s_per_gb": 2.0})
    row = Row.of("work", "it", "requests/s", [Sample(500, 2.0, 1.0, {"p99_ms": 7.0})])
    assert (row.rate.median, row.figures) == (250.0, {"wall_s": 2.0, "cpu_s_per_1000": 2.0, "p99_ms": 7.0})
    assert "cpu_s_per_gb" not in Row.of("work", "it", "GB/s", [Sample(1, 1)]).figures


def test_a_result_is_read_as_it_was_written_with_each_turn(tmp_path: Path) -> None:
    samples = [Sample(500, 2.0, 1.0, {"p99_ms": 7.0}), Sample(600, 2.0, None, {"p99_ms": 9.0})]
    rows = (Row.of("work", "it", "requests/s", samples), Row("work", "other", "requests/s", Summary(1, 1, 1, 1)))
    written = Result("serve", machine.facts(tmp_path), {"turns": 2}, rows, (Ratio("it / other", 1.0, 2.0),), ("one",))
    assert rows[0].turns == tuple(samples)
    assert Result.load(written.store(tmp_path)) == written


def test_the_report_names_what_was_not_measured(tmp_path: Path) -> None:
    page = report.write(tmp_path, tmp_path / "PAGE.md").read_text()
    for suite in ("kernel", "ingest", "serve", "registry", "search"):
        assert f"`make bench-{suite}`" in page


def test_a_result_has_a_directory_by_date_cpu_and_commit() -> None:
    facts: dict[str, str | int | float] = {
        "date": "2026-11-24T20:00:00Z",
        "cpu": "Intel(R) Xeon(R) Platinum 8488C CPU @ 2.40GHz",
        "commit": "abc",
    }
    assert machine.directory_name(facts) == "2026-11-24-intel-xeon-platinum-8488c-cpu-abc"


def test_tables_and_plots_escape_and_align() -> None:
    assert table(("a", "bbb"), [("cc", "d")]) == "| a  | bbb |\n| -- | --- |\n| cc | d   |"
    drawn = ET.fromstring(plots.bars("<title>", "GB/s", [Row("w", "a & b", "GB/s", Summary(1, 1, 2, 3))]))
    assert "a & b" in {element.text for element in drawn.iter()}


def test_a_grid_is_a_panel_for_each_way_with_the_reference_in_it() -> None:
    rates = {"theirs": 1.0, "other": 3.0, "way [aaaa]": 2.0, "way [bbbb]": 4.0, "way two [aaaa]": 5.0}
    rows = [Row(work, name, "GB/s", Summary(rate, rate, rate, 1)) for work in "xy" for name, rate in rates.items()]
    drawn = ET.fromstring(plots.lines("t", Result("kernel", {}, {}, tuple(rows), (), grid=True), "theirs"))
    panels = list(drawn.iter("{http://www.w3.org/2000/svg}g"))
    named = [[text.text for text in panel.iter() if text.text and text.text[0].isalpha()] for panel in panels]
    assert named == [
        ["others", "x", "y", "theirs", "other"],
        ["way", "x", "y", "aaaa", "bbbb", "theirs"],
        ["way two", "x", "y", "aaaa", "theirs"],
    ]
    assert [len(panel.findall("{http://www.w3.org/2000/svg}polyline")) for panel in panels] == [2, 3, 2]
