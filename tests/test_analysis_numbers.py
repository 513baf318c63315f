"""Every number of tables, leaderboard and report equals the one from the raw files.

`raw_numbers` shares no code with the project; here only what was written is compared with it.
"""

from __future__ import annotations

import base64
import csv
import html
import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import raw_numbers as raw
from checked_summary import duration, noise_of

from resnet_sweep.analysis.summary.summarize import Summary

# ---- leaderboard ----


def expected_rows(
    raw_ranked: dict[str, Any], raw_groups: list[dict[int, list[str]]]
) -> list[dict[str, str]]:
    sd, degrees = noise_of(raw_ranked, raw_groups)
    best = raw.seed_means(raw_ranked, raw_groups[0], "val_accuracy")
    rows = []
    for place, seeds in enumerate(raw_groups):
        values = raw.seed_means(raw_ranked, seeds, "val_accuracy")
        results = [raw_ranked[name]["result"] for names in seeds.values() for name in names]
        behind = np.mean(values) - np.mean(best)
        limit = raw.t_quantile(degrees) * sd * math.sqrt(1 / len(best) + 1 / len(values))
        word = "within" if abs(behind) <= limit else "beyond"
        tests = [r["test_accuracy"] for r in results if r["test_accuracy"] is not None]
        gaps = [r["val_accuracy"] - r["test_accuracy"] for r in results if r["test_accuracy"]]
        first = max(results, key=lambda result: result["val_accuracy"])
        rows.append(
            {
                "#": str(place + 1),
                "val_accuracy": f"{np.mean(values):.4f}",
                "± 95%": ""
                if len(values) < 2
                else f"{raw.interval(values)[2] - np.mean(values):.2g}",
                "n": str(len(values)),
                "behind best": "" if place == 0 else f"{behind:+.4f} {word} noise",
                "parameters": f"{first['num_params']:,}",
                "epochs": str(first["epochs"]),
                "time": duration(float(np.mean([r["train_seconds"] for r in results]))),
                "test": f"{np.mean(tests):.4f}" if tests else "",
                "val - test": f"{np.mean(gaps):+.4f}" if gaps else "",
                "run": next(n for n, run in raw_ranked.items() if run["result"] is first),
            }
        )
    return rows


@pytest.mark.slow
def test_every_cell_of_the_leaderboard(
    checked: Summary, raw_ranked: dict[str, Any], raw_groups: list[dict[int, list[str]]]
) -> None:
    board = checked.leaderboard
    expected = expected_rows(raw_ranked, raw_groups)
    assert len(board.rows) == len(expected) > 40
    for row, wanted in zip(board.rows, expected, strict=True):
        found = dict(zip(board.columns, row, strict=True))
        assert {name: found[name] for name in wanted} == wanted
        values = raw.flat(raw_ranked[wanted["run"]]["config"])
        for name, text in re.findall(r"(\S+\.\S+)=(\S+)", found["settings"]):
            if isinstance(values.get(name), float):
                assert text == f"{values[name]:.6g}"


def test_the_written_leaderboards_say_the_same(checked_root: Path, checked: Summary) -> None:
    board = checked.leaderboard
    lines = (checked_root / "summary/leaderboard.md").read_text().splitlines()[2:-2]
    for line, row in zip(lines, board.rows, strict=True):
        cells = [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in line[2:-2].split(" | ")]
        assert [html.unescape(cell) for cell in cells[:-1]] == row[:-1]
    tex = [
        line
        for line in (checked_root / "summary/leaderboard.tex").read_text().splitlines()
        if "&" in line
    ]
    for line, row in zip(tex[1:], board.rows, strict=True):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\"))]
        assert [re.sub(r"\\(.)", r"\1", cell) for cell in cells[:-1]] == row[:-1]
    style, _, page = (
        (checked_root / "summary/report.html").read_text().partition('id="leaderboard"')
    )
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page.partition("</table>")[0], re.S)
    flat = [cell for row in board.rows for cell in row[:-1]]
    width = len(board.columns)
    found = [html.unescape(c) for place, c in enumerate(cells) if place % width != width - 1]
    assert found == flat
    of = re.findall(r'<t[hd][^>]* data-column="(.*?)"', page.partition("</table>")[0])
    assert [html.unescape(column) for column in of] == board.columns * (len(board.rows) + 1)
    styled = re.findall(r'#leaderboard [^{]*?\[data-column="(.*?)"\]', style)
    assert set(styled) == {"run", "id", "settings"} <= set(board.columns)


# ---- tables ----


def same(found: Any, wanted: Any) -> bool:
    """Compare a cell with a raw value; nothing is nothing."""
    if wanted is None:
        return found is None or found is pd.NA or found == "" or found != found
    if isinstance(wanted, bool):
        return str(found).lower() == str(wanted).lower()
    if isinstance(wanted, (int, float)):
        return float(found) == float(wanted)
    if isinstance(wanted, list):
        return bool(json.loads(found) == wanted)
    return str(found) == str(wanted)


def test_every_cell_of_the_tables(
    checked_root: Path, checked: Summary, raw_runs: dict[str, Any]
) -> None:
    with open(checked_root / "summary/runs.csv", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    parquet = pd.read_parquet(checked_root / "summary/runs.parquet").set_index("run")
    assert set(rows) == set(parquet.index) == {*raw_runs, "broken"}
    for name, run in raw_runs.items():
        numbers = {
            k: v for k, v in run["result"].items() if k in parquet.columns and k != "versions"
        }
        if run["result"]["device"] == "cpu" and run["result"]["precision"] is None:
            assert pd.isna(parquet.at[name, "peak_memory_bytes"])
            del numbers["peak_memory_bytes"]
        settings = {k: v for k, v in raw.flat(run["config"]).items() if k in parquet.columns}
        assert len(settings) > 40
        for column, value in (numbers | settings).items():
            assert same(parquet.at[name, column], value), (name, column)
            if column in rows[name]:
                assert same(rows[name][column], value), (name, column)


def test_every_cell_of_the_epochs(
    checked_root: Path, checked: Summary, raw_runs: dict[str, Any]
) -> None:
    epochs = pd.read_parquet(checked_root / "summary/epochs.parquet")
    assert len(epochs) == sum(len(run["rows"]) for run in raw_runs.values())
    for name, rows in epochs.groupby("run", observed=True):
        wanted = [
            [math.nan if v is None else v for v in row.values()] for row in raw_runs[name]["rows"]
        ]
        np.testing.assert_array_equal(rows.iloc[:, 1:].to_numpy(float), wanted)


# ---- the report ----


def test_every_number_of_the_reports_table(
    report_data: dict[str, Any], raw_runs: dict[str, Any]
) -> None:
    columns = {column["name"]: column for column in report_data["columns"]}
    names = [columns["run"]["levels"][code] for code in columns["run"]["codes"]]
    for name, column in columns.items():
        for place, run in enumerate(names):
            if run == "broken":
                continue
            values = raw.flat(raw_runs[run]["config"]) | raw_runs[run]["result"]
            if name not in values or name == "data":
                continue
            if column["kind"] == "number":
                found, wanted = column["values"][place], values[name]
                lost = wanted is None and raw_runs[run]["result"]["status"] == "diverged"
                assert found == ("NaN" if lost and name.startswith("val") else wanted), (run, name)
            else:
                code = column["codes"][place]
                text = None if code < 0 else column["levels"][code]
                is_number = isinstance(values[name], float)
                assert same(text, f"{values[name]:.6g}" if is_number else values[name]), (run, name)
    settings = raw.flat(raw_runs["s/runs/0"]["config"])
    checked = 0
    for name, text in report_data["shared"].items():
        if isinstance(settings.get(name), (int, float)):
            wanted = settings[name]
            plain = str(wanted).lower()
            assert text == (f"{wanted:.6g}" if isinstance(wanted, float) else plain)
            checked += 1
    assert checked > 10


def test_every_point_of_the_reports_curves(
    checked_root: Path, report_data: dict[str, Any], raw_runs: dict[str, Any]
) -> None:
    page = (checked_root / "summary/report.html").read_text()
    text = page.partition('<script type="text/plain" id="curves">')[2].partition("</script>")[0]
    numbers = [unpack(part) for part in text.split("\n")]
    place, part = 0, -1
    column = report_data["columns"][0]
    names = [column["levels"][code] for code in column["codes"]]
    for run, (name, count) in enumerate(zip(names, report_data["counts"], strict=True)):
        if run // report_data["runsOfPart"] > part:
            assert part < 0 or place == len(numbers[part])
            place, part = 0, part + 1
        rows = raw_runs.get(name, {"rows": []})["rows"]
        assert count == len(rows)
        found = numbers[part][place : place + 5 * count].reshape(5, count)
        epochs, *series = np.cumsum(found, axis=1, dtype=np.uint16)
        np.testing.assert_array_equal(epochs, [row["epoch"] for row in rows])
        for key, bits in zip(report_data["series"], series, strict=True):
            values = bits.view(np.float16).astype(float)
            wanted = [math.nan if row[key] is None else row[key] for row in rows]
            np.testing.assert_allclose(values, wanted, rtol=6e-4)
        place += 5 * count
    assert part == len(numbers) - 1 and place == len(numbers[part])


def unpack(part: str) -> np.ndarray:
    """Return the 16-bit numbers of a part: deflated, all low bytes before the high ones."""
    planes = np.frombuffer(zlib.decompress(base64.b64decode(part), -15), np.uint8)
    low, high = planes.reshape(2, -1).astype(np.uint16)
    return low + 256 * high


def test_the_counts_and_the_rejection_rate(
    checked_root: Path, checked: Summary, raw_runs: dict[str, Any], raw_trials: list[dict[str, Any]]
) -> None:
    statuses = [run["result"]["status"] for run in raw_runs.values()]
    rejected = sum(trial["state"] == "rejected" for trial in raw_trials)
    wanted = {status: statuses.count(status) for status in set(statuses)}
    wanted |= {"rejected": rejected, "unreadable": 1}
    assert checked.counts == wanted
    assert checked.rejection_rate == rejected / len(raw_trials)
    page = (checked_root / "summary/report.html").read_text()
    found = dict(re.findall(r"<div data-status=.*?><dt>(.*?)</dt><dd>(.*?)</dd></div>", page))
    assert found == {status.replace("_", " "): f"{n:,}" for status, n in wanted.items()}
    assert f"{len(raw_runs) + 1} runs; by" in page
    assert f"{rejected / len(raw_trials):.1%} of proposals rejected before training" in page
