"""The equivalence test of accuracies, against the t distribution integrated by hand."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import measurements
import numpy as np
import pytest
from conftest import ROOT
from equivalence import MARGIN, compare_means
from measurements import Measurements, open_measurements

pytestmark = pytest.mark.engines  # a benchmark, whole


def t_tail(t: float, freedom: float) -> float:
    """Return P(T > t) of Student's t, from its density by the trapezoidal rule."""
    constant = math.gamma((freedom + 1) / 2) / (
        math.sqrt(freedom * math.pi) * math.gamma(freedom / 2)
    )
    x = np.linspace(0, abs(t), 200_001)
    inner = np.trapezoid(constant * (1 + x**2 / freedom) ** (-(freedom + 1) / 2), x)
    return float(0.5 - inner if t > 0 else 0.5 + inner)


def tost_by_hand(a: list[float], b: list[float], margin: float) -> float:
    """Return the larger p value of the two one-sided tests, after Welch's formulas."""
    parts = [statistics.variance(values) / len(values) for values in (a, b)]
    error = math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (a, b), strict=True)
    )
    difference = statistics.mean(a) - statistics.mean(b)
    return max(
        t_tail((difference + margin) / error, freedom),
        t_tail((margin - difference) / error, freedom),
    )


@pytest.mark.parametrize(("shift", "spread", "n"), [(0, 1, 15), (0.5, 2, 10), (-3, 1, 12)])
def test_the_p_value_is_that_of_welchs_formulas(shift: float, spread: float, n: int) -> None:
    generator = np.random.default_rng(n)
    a = (0.9 + 0.001 * (shift + spread * generator.standard_normal(n))).tolist()
    b = (0.9 + 0.0015 * generator.standard_normal(15)).tolist()
    found = compare_means(a, b, MARGIN)
    assert found.p == pytest.approx(tost_by_hand(a, b, MARGIN), rel=1e-5)
    assert (found.p < 0.05) == (found.low > -MARGIN and found.high < MARGIN)


def test_the_paired_p_value_is_that_of_students_formula() -> None:
    """Seeds differ by 1 point, equal seeds by 0.1: the pairs alone decide."""
    generator = np.random.default_rng(4)
    b = 0.9 + 0.01 * generator.standard_normal(12)
    differences = 0.001 * generator.standard_normal(12)
    a, error = b + differences, statistics.stdev(differences.tolist()) / math.sqrt(12)
    found = compare_means(a.tolist(), b.tolist(), MARGIN, paired=True)
    tails = [t_tail((MARGIN + sign * differences.mean()) / error, 11) for sign in (1, -1)]
    assert found.p == pytest.approx(max(tails), rel=1e-5)
    assert found.verdict == "equivalent"
    assert found.difference == pytest.approx(differences.mean())
    assert found.low < found.difference < found.high
    assert compare_means(a.tolist(), b.tolist(), MARGIN).verdict == "undecided"


def test_the_verdicts() -> None:
    noise = [0.001 * x for x in (-1.5, -0.5, 0.0, 0.5, 1.5)] * 3
    base = [0.9 + x for x in noise]
    assert compare_means(base, base, MARGIN).verdict == "equivalent"
    three = [0.9 - 0.0015, 0.9, 0.9 + 0.0015]
    assert compare_means(three, three, MARGIN).verdict == "undecided"
    worse = [value - 0.01 for value in base]
    assert compare_means(worse, base, MARGIN).verdict == "different"
    assert compare_means([v - MARGIN for v in base], base, MARGIN).verdict == "undecided"


@pytest.mark.parametrize("paired", [False, True])
def test_values_without_spread_decide_nothing(paired: bool) -> None:
    found = compare_means([0.905] * 3, [0.9] * 3, MARGIN, paired)
    assert (found.low, found.high, found.p, found.verdict) == (None, None, None, "undecided")
    assert found.difference == pytest.approx(0.005)


def test_equal_differences_of_pairs_decide_nothing() -> None:
    first, second = [0.905, 0.915, 0.925], [0.9, 0.91, 0.92]
    assert compare_means(first, second, MARGIN, paired=True).verdict == "undecided"


def test_two_that_differ_by_the_margin_pass_in_one_of_twenty() -> None:
    """The level is held where it is hardest: 600 pairs of samples at the margin."""
    generator = np.random.default_rng(0)
    draws = generator.normal(0.9, 0.0015, (600, 2, 15))
    passed = sum(
        compare_means((a + MARGIN).tolist(), b.tolist(), MARGIN).verdict == "equivalent"
        for a, b in draws
    )
    assert 0.025 < passed / 600 < 0.08


def test_a_signal_ends_it_and_the_next_call_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "equivalence.json"
    script = ROOT / "benchmarks" / "equivalence.py"
    command = [sys.executable, str(script), "--small", "--paired", "--output", str(output)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not output.exists() and process.poll() is None:
            time.sleep(0.05)
        process.terminate()
    assert process.returncode != 0
    rows = json.loads(output.read_text())["rows"]
    assert 1 <= len(rows) < 4 and all("val_accuracy" in row for row in rows.values())
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = json.loads(output.read_text())["rows"]
    assert len(after) == 4 and rows.items() <= after.items()


def test_the_small_form_trains_both(tmp_path: Path) -> None:
    output = tmp_path / "equivalence.json"
    script = ROOT / "benchmarks" / "equivalence.py"
    command = [sys.executable, str(script), "--small", "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    content = json.loads(output.read_text())
    assert len(content["rows"]) == 4
    assert content["derived"]["n"] == 2 and content["test"] == "Welch"
    difference = statistics.mean(
        content["rows"][f"bf16, none/{i}"]["val_accuracy"]
        - content["rows"][f"fp32, none/{i}"]["val_accuracy"]
        for i in range(2)
    )
    assert content["derived"]["difference"] == pytest.approx(difference)
    for words in (["optimizer.lr=0.2"], ["--paired"]):
        other = subprocess.run([*command, *words], capture_output=True, text=True)
        assert other.returncode == 2 and "is of another recipe, mode or test" in other.stderr
    assert json.loads(output.read_text()) == content


@pytest.mark.parametrize("text", ["", '{"machine"', "{}", '{"machine": {}, "rows": {}}', "[]"])
def test_a_damaged_file_of_measurements_is_told(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        open_measurements(Namespace(output=path, minutes=1, small=True))
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and len(lines) == 1 and str(path) in lines[0]
    assert path.read_text() == text


def test_a_file_names_the_commits_of_all_rows_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for commit, rows in [("a", 1), ("b", 1), ("b", 2), ("c", 2)]:  # the second adds nothing
        monkeypatch.setattr(measurements, "git_commit", lambda commit=commit: commit)
        taken = Measurements(tmp_path / "x.json", 1, "small")
        for number in range(rows):
            taken.take(f"row {number}", dict)
        taken.finish({})
    assert json.loads((tmp_path / "x.json").read_text())["machine"]["commit"] == "a, b"
