"""The record's page: from folders and JSON, between the marked lines and nowhere else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from generated_runs import make_config, write_run, write_sweep
from scipy import stats

from benchmarks.record.__main__ import main
from benchmarks.record.page import write_record
from benchmarks.record.recipes import changes, describe_recipe
from benchmarks.record.swept import space_table
from resnet_sweep.comparison.factorial import estimate, fractional_factorial
from resnet_sweep.comparison.report import draw, to_report
from resnet_sweep.comparison.trained import compare_recipes
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.comparison import (
    COMPARISON,
    Compared,
    ComparisonPlan,
    Part,
    comparison_values,
)
from resnet_sweep.records.sweep_folder import EndedRun, read_sweep
from resnet_sweep.reporting.report import write_report
from resnet_sweep.system.atomic import write_json

GAINS = {"good": 0.05, "bad": -0.04, "idle": 0.0, "other": 0.0, "fifth": 0.0}
NEW = {"model.name": "mine", "optimizer": "adamw", "model.block": "preact"}
PAIR = 0.03  # what good and bad do together beyond each alone


PAGE = "# Mine\n\n<!-- small: begin -->\nold\n<!-- small: end -->\n\nthe rest\n"


def _page(folder: Path) -> str:
    page = folder.parent / "RESULTS.md"
    page.write_text(f"<!-- {folder.name}: begin -->\n<!-- {folder.name}: end -->\n")
    write_record(folder, page)
    return page.read_text()


def _compared(design: str, recipes: list[str], parts: list[Part], **more: Any) -> Compared:
    plan = ComparisonPlan(design, "val", "mine", recipes, [], 2, 10)
    values: dict[str, Any] = {"levels": [], "runs": [], "survivor_runs": [], "left_out": []}
    command = f"python -m resnet_sweep.compare {design}=mine"
    return Compared(command, design, plan, parts=parts, **(values | more))


def _tested(folder: Path, recipes: dict[str, list[float]], **settings: Any) -> Path:
    """Leave what a comparison on the test set leaves; return its JSON file."""
    runs = []
    for name, accuracies in recipes.items():
        for seed, accuracy in enumerate(accuracies):
            run_dir = f"study/runs/{len(runs)}"
            own = {"model.name": "mine", "seed": seed, **settings}
            write_run(folder / "test" / run_dir, settings=own, test_accuracy=accuracy)
            runs.append(EndedRun(name, seed, "completed", None, None, 0.0, 1.0, run_dir))
    compared = _compared("recipes", list(recipes), [], runs=runs)
    write_json(folder / "test" / COMPARISON, comparison_values(compared))
    return folder / "test" / COMPARISON


def _factors(folder: Path, interaction: float = 0.0) -> dict[str, float]:
    """Leave what a design with known effects leaves; return what it has measured, in points."""
    levels = fractional_factorial(16, len(GAINS))
    means = 0.5 + levels @ (np.array(list(GAINS.values())) / 2)
    means = means + interaction / 2 * levels[:, 0] * levels[:, 1]
    values = means[:, None] + np.random.default_rng(3).normal(0, 0.004, (16, 2))
    effects = estimate(list(GAINS), levels, values)
    seeds = np.random.default_rng(4).normal([[0.5], [0.55]], 0.004, (2, 10))
    survivors = compare_recipes(["start", "good"], seeds, [0, 0])
    parts = [
        Part("effects", "Main effects", effects.main, ["every run completed"]),
        Part("interactions", "Strings of interactions", effects.interactions),
        Part("survivors", "Survivors, each alone", survivors, ["1 of 5 changes survived"]),
    ]
    compared = _compared("factors", [], parts, levels=levels.tolist())
    (folder / "factors").mkdir(parents=True)
    figures = draw(compared)
    write_report(folder / "factors", to_report(compared), figures["comparison"])
    figures["survivors"].savefig(folder / "factors/survivors.png")
    made = zip(GAINS, levels.T > 0, strict=True)
    return {name: 100 * (values[high].mean() - values[~high].mean()) for name, high in made}


def _steps(folder: Path) -> None:
    seeds = np.random.default_rng(5).normal([[0.5], [0.53], [0.49]], 0.002, (3, 5))
    rows = compare_recipes(["start", "up", "down"], seeds, [0, 0, 1])
    compared = _compared("steps", ["start", "up", "down"], [Part("steps", "Steps", rows, ["x*y"])])
    (folder / "steps").mkdir(parents=True)
    write_report(folder / "steps", to_report(compared), draw(compared)["comparison"])


def test_rows_come_from_run_folders_and_missing_stages_are_named(tmp_path: Path) -> None:
    tested = {"a": [0.91, 0.93], "b": [0.81, 0.80]}
    _tested(tmp_path / "small", tested)
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE)
    write_record(tmp_path / "small", page)
    text = page.read_text()
    assert text.startswith("# Mine\n\n<!-- small: begin -->") and text.endswith("the rest\n")
    line = "- Not measured: Factors, Survivors of the factors, One change after another, Sweep.\n"
    assert line in text and [each for each in text.splitlines() if each.startswith("###")] == [
        "### Commands"
    ]
    assert "old" not in text and "    python -m resnet_sweep.compare recipes=mine\n" in text
    for name, accuracies in tested.items():
        mean, sd = 100 * np.mean(accuracies), 100 * np.std(accuracies, ddof=1)
        row = next(line for line in text.splitlines() if line.endswith(f"| {name} |"))
        ends = stats.t.interval(0.95, 1, mean, sd / np.sqrt(2))
        low, high = np.clip(ends, 0, 100)  # of "a" 79 to 105
        assert f"| 1,000 | 3 | 2 | {mean:.2f} | {sd:.2f} | {low:.2f} to {high:.2f} |" in row
    write_record(tmp_path / "small", page)
    assert page.read_text() == text


def test_tables_come_from_json_alone(tmp_path: Path) -> None:
    """What a report's own Markdown says makes no difference."""
    _factors(tmp_path / "small")
    _steps(tmp_path / "small")
    for stage in ("factors", "steps"):
        (tmp_path / f"small/{stage}/comparison.md").write_text("nonsense")
    text = _page(tmp_path / "small")
    assert "nonsense" not in text and "| worse | down |" in text and "- x\\*y\n" in text
    assert "**Survivors** with 10 fresh seeds each: better: good" in text
    for name in ("factors", "survivors", "steps"):
        assert f"(docs/record_small_{name}.png)" in text
        assert (tmp_path / f"docs/record_small_{name}.png").read_bytes().startswith(b"\x89PNG")


def test_runs_of_two_recipes_are_no_row(tmp_path: Path) -> None:
    _tested(tmp_path / "small", {"a": [0.9, 0.8]})
    result = tmp_path / "small/test/study/runs/1/result.json"
    result.write_text(result.read_text().replace('"num_params": 1000', '"num_params": 999'))
    with pytest.raises(UserError, match="no runs of one recipe"):
        _page(tmp_path / "small")


def test_a_page_with_two_places_is_refused(tmp_path: Path) -> None:
    _tested(tmp_path / "small", {"a": [0.8, 0.9]})
    page = tmp_path / "RESULTS.md"
    page.write_text(PAGE + PAGE)
    with pytest.raises(UserError, match=r"has the lines .* more than once"):
        write_record(tmp_path / "small", page)
    assert page.read_text() == PAGE + PAGE


def test_a_page_without_the_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    page = tmp_path / "RESULTS.md"
    page.write_text("# Mine\n")
    with pytest.raises(UserError, match="<!-- small: begin -->"):
        write_record(tmp_path / "small", page)
    assert page.read_text() == "# Mine\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("small/test/comparison.json", b'{"command": "x", "runs": [{"accuracy": 0.5}]}', "damaged"),
        ("small/test/comparison.json", b"\x93\x00\xff\x1b[2J\n", "cannot be read"),
        ("small/test/comparison.json", b"[]", "must be an object, not a list"),
        ("small/sweep/confirm/confirmation.json", b"{", "is damaged"),
        ("small/sweep/confirm/confirmation.json", b'{"runs": []}', "has no 'command'"),
        ("small/factors/comparison.json", b"", "cannot be read"),
        ("small/steps/comparison.json", b'{"parts": []}', "schema_version is None"),
        ("docs", b"a file", "cannot be written"),
        ("RESULTS.md", PAGE.encode("utf-16"), "cannot be read as UTF-8 text"),
    ],
)
def test_what_is_damaged_is_named_in_one_line_and_the_page_stays(
    tmp_path: Path, name: str, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page, path = tmp_path / "RESULTS.md", tmp_path / name
    _tested(tmp_path / "small", {"a": [0.9, 0.8]})
    page.write_text(PAGE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    before = page.read_bytes()
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "small"), str(page)])
    line = capsys.readouterr().err
    assert ended.value.code == 2 and line.startswith("error: ") and line.count("\n") == 1
    assert str(path) in line and said in line and line[:-1].isprintable()
    assert page.read_bytes() == before


def test_a_page_that_is_a_link_stays_one_and_keeps_its_line_ends(tmp_path: Path) -> None:
    _tested(tmp_path / "small", {"a": [0.9, 0.8]})
    real, link = tmp_path / "RESULTS.md", tmp_path / "elsewhere/link.md"
    real.write_bytes(PAGE.replace("\n", "\r\n").encode())
    link.parent.mkdir()
    link.symlink_to(real)
    write_record(tmp_path / "small", link)
    assert link.readlink() == real and real.read_bytes().endswith(b"\r\n\r\nthe rest\r\n")
    assert "python -m resnet_sweep.compare recipes=mine" in real.read_text()


def test_the_test_set_comes_first_and_commands_last(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    _tested(folder, {"source": [0.80, 0.82, 0.81], "source_tuned": [0.84, 0.85, 0.86]})
    text = _page(folder)
    order = ["| source\\_tuned |", "- **Test set**", "- Not measured: Factors", "### Commands"]
    assert sorted(order, key=text.index) == order
    found = stats.ttest_rel([84, 85, 86], [80, 82, 81])
    ends = found.confidence_interval(0.95)
    expected = f"`source_tuned` +4.00 points ({ends.low:+.2f} to {ends.high:+.2f}, n = 3: better)"
    assert f"`source` has 81.00% (n = 3), and against it {expected}" in text
    assert "93.7%" not in text  # what is wanted stands in the full record alone


def test_each_stage_names_the_commit_of_its_runs(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    _tested(folder, {"source": [0.80, 0.82]})
    both = f"{'b' * 8}+, {'c' * 8}"
    for number, commit in enumerate(["a" * 40, f"{'b' * 40}+, {'c' * 40}"]):
        write_run(folder / f"factors/survivors/runs/{number}", git_commit=commit)
    ended = [
        EndedRun("on", seed, "completed", None, None, 0.8, 1.0, f"survivors/runs/{seed}")
        for seed in range(2)
    ]
    failed = EndedRun("on", 2, "failed", "killed", "signal 9", None, None, "survivors/runs/2")
    compared = _compared("factors", ["on"], [], survivor_runs=[*ended, failed])
    write_json(folder / "factors" / COMPARISON, comparison_values(compared))
    text = _page(folder)
    for commit, stage in (("unknown", "test set"), ("a" * 8, "factors"), (both, "factors")):
        assert f"Runs of commit {commit} with torch 2: {stage}.\n" in text


def test_the_page_has_a_place_for_each_size() -> None:
    page = (ROOT / "RESULTS.md").read_text()
    for size in re.findall(r"ifeq \(\$\(SIZE\),(\w+)\)", (ROOT / "Makefile").read_text()):
        assert page.count(f"<!-- {size}: begin -->") == page.count(f"<!-- {size}: end -->") == 1


def test_a_record_of_one_recipe_is_its_row_and_command(tmp_path: Path) -> None:
    _tested(tmp_path / "fast", {"fast_93": [0.92, 0.93, 0.94]})
    text = _page(tmp_path / "fast")
    assert "| 93.00 | 1.00 | 90.52 to 95.48 |" in text  # t = 4.303 with two degrees of freedom
    assert (
        "`make record SIZE=fast` is all of them; that of the curves is in the Makefile.\n" in text
    )
    assert "- Not measured: Curves.\n" in text and "**" not in text


def test_a_run_with_a_validation_part_shows_its_curves(tmp_path: Path) -> None:
    run = tmp_path / "fast/curves"
    _tested(tmp_path / "fast", {"fast_93": [0.92, 0.93, 0.94]})
    write_run(run, settings={"model.name": "mine", "seed": 3}, val_accuracy=0.9187)
    assert "Not measured: Curves" in _page(tmp_path / "fast")  # it has not ended
    for name in ("accuracies", "losses"):
        (run / f"{name}.png").write_bytes(name.encode())
    text = _page(tmp_path / "fast")
    assert "Seed 3 of mine" in text and " 91.87% of them" in text and "Not measured" not in text
    for name in ("accuracies", "losses"):
        shown = f"docs/record_fast_{name}.png"
        assert f"]({shown})" in text and (tmp_path / shown).read_bytes() == name.encode()
    (run / "losses.png").unlink()
    with pytest.raises(UserError, match=r"losses\.png: cannot be read"):
        _page(tmp_path / "fast")


def test_nets_with_test_time_augmentation_are_a_table(tmp_path: Path) -> None:
    """Of each net by itself: neither the plain rows nor the ensemble's count."""
    _tested(tmp_path / "fast", {"fast_93": [0.92, 0.93, 0.94]})
    runs = [f"outputs/runs/{number}" for number in range(3)]
    accuracies = dict(zip(runs, [0.931, 0.938, 0.944], strict=True))
    rows = [{"net": f"{run}, tta=flip", "accuracy": value} for run, value in accuracies.items()]
    rows += [{"net": run, "accuracy": 0.5} for run in [*runs, "ensemble of 3, tta=flip"]]
    values = {"accuracies": [{"input": "test", **row} for row in rows]}
    values |= {"nets": [{"run": run} for run in runs], "git_commit": "e" * 40}  # type: ignore[dict-item]
    (tmp_path / "fast/tta_flip").mkdir()
    write_json(tmp_path / "fast/tta_flip/accuracy.json", {"schema_version": 1, **values})
    found = np.array(list(accuracies.values()))
    low, high = 100 * np.array(stats.t.interval(0.95, 2, found.mean(), stats.sem(found)))
    text = _page(tmp_path / "fast")
    assert f"| 2 | 3 | 93.77 | 0.65 | {low:.2f} to {high:.2f} | flip | eeeeeeee |" in text
    del values["nets"]
    write_json(tmp_path / "fast/tta_flip/accuracy.json", {"schema_version": 1, **values})
    with pytest.raises(UserError, match=r"accuracy\.json: is damaged: it has no 'nets'"):
        _page(tmp_path / "fast")


def test_an_empty_record_in_full_says_what_was_wanted(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    text = _page(tmp_path / "full")
    assert "- Not measured: Recipes on the test set, Factors, Survivors" in text
    rows = [line for line in text.splitlines() if line.endswith("| not measured | - |")]
    assert [row.split(" | ")[0] for row in rows] == [
        "| source",
        "| source\\_tuned",
        "| best\\_100\\_epochs",
        "| best\\_10\\_minutes",
        "| fast\\_93",
    ]


def test_nothing_stands_in_for_a_start_without_a_completed_run(tmp_path: Path) -> None:
    path = _tested(tmp_path / "full", {"source_tuned": [0.84, 0.85], "fast_93": [0.91, 0.92]})
    values = json.loads(path.read_text())
    values["plan"]["recipes"].insert(0, "source")
    path.write_text(json.dumps(values))
    text = _page(tmp_path / "full")
    assert "**Test set**" not in text and "no source to compare with" in text


def test_recipes_on_other_images_are_not_compared(tmp_path: Path) -> None:
    path = _tested(tmp_path / "small", {"a": [0.80, 0.82], "b": [0.84, 0.85]})
    for number in (2, 3):  # those of b
        own = {"model.name": "mine", "seed": number - 2, "data": "arrays"}
        settings = own | {"data.root": "somewhere/mine"}
        shutil.rmtree(path.parent / f"study/runs/{number}")
        other = {"test_accuracy": 0.8, "data_fingerprint": "beef"}
        write_run(path.parent / f"study/runs/{number}", settings=settings, **other)
    text = _page(tmp_path / "small")
    assert "mine: these numbers are compared with each other only." in text
    assert "against it `b` cannot be compared" in text


def test_the_same_images_in_another_folder_are_compared(tmp_path: Path) -> None:
    path = _tested(tmp_path / "small", {"a": [0.80, 0.82], "b": [0.84, 0.85]}, data="arrays")
    for number in (2, 3):
        config = path.parent / f"study/runs/{number}/config.json"
        config.write_text(config.read_text().replace('"root": null', '"root": "moved"'))
    assert "against it `b` +3.50 points" in _page(tmp_path / "small")


def test_the_verdicts_of_several_recipes_hold_together(tmp_path: Path) -> None:
    """As those of compare: by intervals that are wider, the more recipes there are."""
    draw = np.random.default_rng(7)
    accuracies = {name: draw.normal(0.8, 0.01, 5).tolist() for name in ("source", "a", "b", "c")}
    _tested(tmp_path / "small", accuracies)
    text = _page(tmp_path / "small")
    for name in ("a", "b", "c"):
        found = stats.ttest_rel(accuracies[name], accuracies["source"])
        ends = found.confidence_interval(0.95 ** (1 / 3))
        bounds = f"{100 * ends.low:+.2f} to {100 * ends.high:+.2f}"
        gain = 100 * (np.mean(accuracies[name]) - np.mean(accuracies["source"]))
        assert f"`{name}` {gain:+.2f} points ({bounds}, n = 5: undecided)" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.030, "yes"), (0.010, "no"), (0.0201, "cannot tell")]
)
def test_a_wanted_gain_is_reached_where_the_whole_interval_is(
    tmp_path: Path, gain: float, verdict: str
) -> None:
    folder, noise = tmp_path / "full", [0.0, 0.002, -0.002, 0.001, -0.001]
    tuned = [0.8 + gain + each for each in noise]
    _tested(folder, {"source": [0.8] * 5, "source_tuned": tuned})
    row = next(line for line in _page(folder).splitlines() if line.startswith("| source\\_tuned |"))
    assert f"{100 * gain:+.2f} (" in row and row.endswith(f"n = 5) | {verdict} |")


@pytest.mark.parametrize("interaction", [0.0, PAIR])
def test_interactions_are_shown_where_they_stand_out(tmp_path: Path, interaction: float) -> None:
    folder = tmp_path / "small"
    effects = _factors(folder, interaction)
    text = _page(folder)
    told = f"better: good ({effects['good']:+.2f}); worse: bad ({effects['bad']:+.2f})"
    assert f"5 changes in 16 recipes: {told}; undecided: idle, other, fifth." in text
    _, _, section = text.partition("### Strings of interactions")
    rows = [line for line in section.partition("###")[0].splitlines() if " x " in line]
    if interaction:
        assert len(rows) == 1 and "good x bad" in rows[0] and "| better |" in rows[0]
    else:
        assert "told apart from noise: none" in section and len(rows) == 3


def test_a_figure_that_is_missing_is_named_and_nothing_written(tmp_path: Path) -> None:
    _factors(tmp_path / "small")
    (tmp_path / "small/factors/comparison.png").unlink()
    with pytest.raises(UserError, match=r"comparison\.png: cannot be read"):
        _page(tmp_path / "small")
    assert (tmp_path / "RESULTS.md").read_text().count("\n") == 2
    assert not (tmp_path / "docs").exists()


@pytest.mark.slow
def test_a_sweep_is_counted_and_its_importance_shown(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    write_sweep(folder / "sweep", trials=60)
    text = _page(folder)
    trials = read_sweep(folder / "sweep").trials
    states = [trial.state for trial in trials]
    hours = sum(trial.train_seconds or 0 for trial in trials) / 3600
    rejected = states.count("rejected")
    assert f"60 proposals: {60 - rejected} trained ({states.count('completed')} completed" in text
    assert f"{rejected} rejected before any training ({rejected} over the budget" in text
    assert f"{hours:.2f} hours of training on cpu" in text
    rows = {
        line.split(" | ")[-1].strip(" |") for line in text.splitlines() if "| matters |" in line
    }
    assert "optimizer.lr@sgd" in rows and "regularization.dropout" not in rows
    assert "Too rarely varied" not in text
    assert "(docs/record_small_importance.png)" in text


def test_a_space_is_a_table_by_group() -> None:
    space = {
        "model.kernel_size": "choice(3, 5)",
        "model.block": "choice(basic, preact)",
        "model.shortcut_kernel_size": "choice(1, 3) where model.shortcut=conv",
        "optimizer": "choice(sgd, adamw)",
        "optimizer.lr@sgd": "0.02..1.0 log where optimizer=sgd",
        "augmentation": "choice([crop_flip], [crop_flip,cutout])",
    }
    assert space_table(space).rows == [
        [
            "model",
            "kernel_size 3, 5; block basic, preact",
            "shortcut_kernel_size 1, 3 (shortcut=conv)",
        ],
        ["optimizer", "option sgd, adamw", "lr 0.02..1.0 log (optimizer=sgd)"],
        ["augmentation", "option [crop_flip] or [crop_flip,cutout]", ""],
    ]


@pytest.mark.slow
def test_the_best_of_a_sweep_is_named_by_what_it_is_and_what_is_new_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    source = {"model.widths": [16, 32, 64], "model.blocks": [1, 1, 1]}
    _tested(folder, {"source": [0.80, 0.82, 0.81]}, **source)
    write_sweep(folder / "sweep", trials=12)
    runs = []
    accuracies = [0.86, 0.87, 0.85, 0.86]
    for number, accuracy in enumerate(accuracies):
        place = f"test/runs/{number}"
        settings = source | NEW | {"seed": 90 + number}
        write_run(folder / "sweep/confirm" / place, settings=settings, test_accuracy=accuracy)
        runs.append({"stage": "test", "configuration": "trial 5", "accuracy": 0, "run_dir": place})
    promise = {"trial": 5, "promised": 0.9, "mean": 0.88, "n": 5, "over_promise": 0.02}
    promise |= {"over_promise_low": 0.01, "over_promise_high": 0.03}
    values = {
        "command": "python -m resnet_sweep.confirm x",
        "runs": runs,
        "tied": [5, 7],
        "choose": {"configurations": [{}, {}, {}]},
        "over_promise": {"configurations": [promise]},
    }
    (folder / "sweep/confirm/confirmation.json").write_text(json.dumps(values))
    text = _page(folder)
    config = make_config(source | NEW)
    words = describe_recipe(config)
    assert words.startswith("preact, widths [16, 32, 64], blocks [1, 1, 1], adamw, ")
    found = stats.ttest_ind(accuracies, [0.80, 0.82, 0.81], equal_var=False)
    ends = found.confidence_interval(0.95)
    gain = np.mean(accuracies) - 0.81
    line = next(line for line in text.splitlines() if line.startswith("- **Sweep**"))
    assert f"the best of the sweep (trial 5): {words}" in line
    bounds = f"{100 * ends.low:+.2f} to {100 * ends.high:+.2f}"
    assert "90.00% as the sweep saw it, 88.00% with 5 fresh seeds" in text
    tied = "3 configurations were trained on a fresh split; the test cannot tell apart: trial 5, "
    assert f"{tied}trial 7" in text
    assert f"`source` (1,000 parameters) {100 * gain:+.2f} points ({bounds}, n = 3: better)" in line
    assert "What it has and `source` has not: optimizer adamw (not sgd)" in line
    commands = text.partition("### Commands")[2]
    assert "    python -m resnet_sweep.confirm x\n" in commands
    assert "Runs of commit unknown with torch 2: sweep, confirmation, test set.\n" in commands
    own = [0.83, 0.84, 0.83, 0.82]  # the confirmation's own baseline goes before the comparison's
    for number, accuracy in enumerate(own):
        place = f"test/runs/{number + 4}"
        settings = source | {"model.name": "mine", "seed": 90 + number}
        write_run(folder / "sweep/confirm" / place, settings=settings, test_accuracy=accuracy)
        runs.append({"stage": "test", "configuration": "base", "accuracy": 0, "run_dir": place})
    (folder / "sweep/confirm/confirmation.json").write_text(json.dumps(values))
    paired = stats.ttest_rel(accuracies, own).confidence_interval(0.95)
    bounds = f"{100 * paired.low:+.2f} to {100 * paired.high:+.2f}"
    assert f"against `base` (1,000 parameters) +3.00 points ({bounds}, n = 4: better)" in _page(
        folder
    )


def test_changes_are_those_of_the_keys_that_were_drawn() -> None:
    source = make_config({"model.widths": [16, 32], "model.blocks": [1, 1]})
    best = make_config({"model.widths": [8, 16], "model.blocks": [1, 2], "train.batch_size": 64})
    keys = [
        "model.base_width",
        "model.width_factor",
        "model.blocks[1]",
        "scheduler.warmup_fraction",
    ]
    assert changes(best, source, keys) == [
        "model.widths [8, 16] (not [16, 32])",
        "model.blocks [1, 2] (not [1, 1])",
    ]
    assert changes(best, source, ["train.batch_size"]) == ["train.batch_size 64 (not 128)"]
