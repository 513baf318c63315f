"""One sweep after another from the command line, with stub trainings: what may go on, and how."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TINY_OVERRIDES
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from optuna.trial import TrialState
from stub_sweep import read_trials
from stub_worker import prepare, result_of, stub_run_trial

from resnet_sweep.config import Config
from resnet_sweep.config.errors import UserError
from resnet_sweep.records.run_folder import RunResult
from resnet_sweep.search.settings import read_settings
from resnet_sweep.search.trial_attributes import EXTENDED_FROM
from resnet_sweep.sweep import command as sweep_module
from resnet_sweep.sweep.command import SweepCommand
from resnet_sweep.sweep.forecast import HoursPlan, divide_hours
from resnet_sweep.sweep.step_timing import SweepData
from resnet_sweep.train import main
from resnet_sweep.workers.coordination import WorkerExit
from resnet_sweep.workers.launchers import is_elsewhere
from resnet_sweep.workers.trial import OnEpoch
from resnet_sweep.workers.worker import work

pytestmark = pytest.mark.usefixtures("quiet_optuna")

SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    *TINY_OVERRIDES,
    "search_space=[]",  # a shipped one composes eighteen times before it begins
    "optimizer.lr=interval(0.02,0.2)",
    "hydra.sweeper.n_jobs=1",
    "hydra.sweeper.n_trials=2",
    "hydra.sweeper.study_name=s",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
]


def _work(folder: Path) -> WorkerExit:
    return work(folder, 0, stub_run_trial, prepare)


@pytest.fixture
def run_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Run a sweep from its command line, with stub trainings, in this process."""

    def train_stubs(sweeping: SweepCommand, *_: object) -> None:
        assert _work(sweeping.folder).kind == "done"

    def run(*overrides: str) -> None:
        monkeypatch.setattr(sys, "argv", ["train", *SWEEP, *overrides])
        main()

    monkeypatch.setattr(SweepCommand, "_supervise", train_stubs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    yield run
    GlobalHydra.instance().clear()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [SystemExit(130), UserError("max_rejections"), None])
def test_each_ending_leaves_the_results(
    ending: BaseException | None,
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train_then_end(sweeping: SweepCommand, *_: object) -> None:
        _work(sweeping.folder)
        if ending is not None:
            raise ending

    monkeypatch.setattr(SweepCommand, "_supervise", train_then_end)
    with nullcontext() if ending is None else pytest.raises(SystemExit):
        run_sweep()
    results = yaml.safe_load(Path("outputs/sweeps/s/optimization_results.yaml").read_text())
    assert results["best_value"] == max(t.value for t in read_trials(Path("outputs/sweeps/s")))


def test_a_dry_run_opens_no_storage(
    run_sweep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "dry_run", lambda *_, **__: "report")
    run_sweep("hydra.sweeper.dry_run=true", "hydra.sweeper.storage=sqlite:///dry.db")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.slow
def test_trials_that_were_taken_over_are_left_out_of_a_third_sweep_with_the_reason(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep("hydra.sweeper.study_name=a")
    run_sweep("hydra.sweeper.study_name=b", "hydra.sweeper.extend_from=outputs/sweeps/a")
    run_sweep("hydra.sweeper.study_name=c", "hydra.sweeper.extend_from=outputs/sweeps/b")
    printed = capsys.readouterr().out
    assert "extend_from=outputs/sweeps/b: 2 trials taken over, 2 left out" in printed
    assert "is a trial of outputs/sweeps/a; extend from there" in printed


def _refused(run_sweep: Callable[..., None], capsys: Any, *overrides: str) -> str:
    with pytest.raises(SystemExit) as ended:
        run_sweep(*overrides)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return str(line)


@pytest.mark.slow
def test_a_configuration_of_somebody_else_is_never_replaced(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine/conf").mkdir(parents=True)
    Path("mine/conf/precious.yaml").write_text("a: 1")
    line = _refused(run_sweep, capsys, "hydra.sweep.dir=mine")
    assert "mine/conf: is there already and no sweep's" in line
    assert [path.name for path in Path("mine").rglob("*")] == ["conf", "precious.yaml"]


@pytest.mark.slow
def test_a_folder_that_was_renamed_says_what_its_study_is_called(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep()
    Path("outputs/sweeps/s").rename("outputs/sweeps/t")
    line = _refused(run_sweep, capsys, "hydra.sweeper.study_name=t")
    words = shlex.split(line.partition("; go on with: ")[2])[-2:]
    assert words == ["hydra.sweeper.study_name=s", "hydra.sweep.dir=outputs/sweeps/t"]
    run_sweep(*words, "hydra.sweeper.n_trials=3")
    assert len(read_trials(Path("outputs/sweeps/t"))) == 3
    run_sweep("hydra.sweeper.study_name=null", words[1], "hydra.sweeper.n_trials=4")
    assert len(read_trials(Path("outputs/sweeps/t"))) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", ["hydra.sweeper.start_from=[source]", "hydra.sweeper.noise_repeats=1"]
)
def test_what_counts_at_the_start_alone_cannot_change(
    change: str, run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep()
    line = _refused(run_sweep, capsys, change, "hydra.sweeper.n_trials=4")
    assert change.partition("=")[0] in line
    assert len(read_trials(Path("outputs/sweeps/s"))) == 2


@pytest.mark.slow
def test_two_folders_never_share_a_study(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    storage = f"hydra.sweeper.storage=sqlite:///{Path.cwd()}/a.db"
    run_sweep(storage)
    with pytest.raises(SystemExit) as ended:
        run_sweep(storage, "hydra.sweeper.folder=other")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"belongs to the sweep in {Path.cwd()}/outputs/sweeps/s on " in line
    assert not Path("other/s/settings.json").exists()
    Path("outputs/sweeps").rename("moved")
    run_sweep(storage, "hydra.sweeper.folder=moved", "hydra.sweeper.n_trials=3")
    assert len(read_trials(Path("moved/s"))) == 3


@pytest.mark.slow
def test_a_study_that_was_half_prepared_is_prepared_again(
    run_sweep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ["hydra.sweeper.study_name=t", "hydra.sweeper.extend_from=outputs/sweeps/s"]
    run_sweep()
    starts = "hydra.sweeper.start_from=[outputs/sweeps/s/runs/0]"
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(sweep_module, "enqueue_starts", _interrupt)
        run_sweep(*run, starts)
    for n_trials in (3, 4):
        run_sweep(*run, starts, f"hydra.sweeper.n_trials={n_trials}")
        trials = read_trials(Path("outputs/sweeps/t"))
        assert [EXTENDED_FROM in trial.user_attrs for trial in trials[:3]] == [True, True, False]
        assert trials[2].params == pytest.approx(trials[0].params)
        assert sum(EXTENDED_FROM in trial.user_attrs for trial in trials) == 2


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _plan_a_second_an_epoch(
    _space: object, _composer: object, hours: float, num_gpus: int, *fixed: Any, **_: int
) -> HoursPlan:
    facts = SweepData(10, 32, train_images=200, val_images=50, device="cuda")
    return divide_hours(hours, 1.0, facts, num_gpus, *fixed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fixed", "planned"),
    [("hydra.sweeper.n_trials=6", (6, 12)), ("train.epochs=8", (9, 8)), ("seed=0", (7, 10))],
)
def test_hours_plan_only_what_the_command_line_leaves_open(
    fixed: str,
    planned: tuple[int, int],
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = [o for o in SWEEP if not o.startswith(("hydra.sweeper.n_", "train.epochs="))]
    monkeypatch.setitem(globals(), "SWEEP", [*free, "hydra.sweeper.n_jobs=3"])
    monkeypatch.setattr(sweep_module, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setattr(sweep_module, "plan_hours", _plan_a_second_an_epoch)
    run_sweep("hydra.sweeper.hours=0.01", fixed)  # 36 s on each of two GPUs
    settings = read_settings(Path("outputs/sweeps/s"))
    assert (settings.n_trials, settings.epochs) == planned


def test_hours_with_nothing_left_to_plan_are_refused(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_sweep("hydra.sweeper.hours=1")
    assert "hydra.sweeper.hours=1" in capsys.readouterr().err
    assert not Path("outputs").exists()


def test_hours_are_refused_where_the_trials_run_on_other_machines(
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    free = [o for o in SWEEP if not o.startswith("hydra.sweeper.n_trials")]
    monkeypatch.setitem(globals(), "SWEEP", free)
    with pytest.raises(SystemExit) as ended:
        run_sweep("hydra.sweeper.hours=1", "hydra/launcher=slurm")
    assert ended.value.code == 2 and not Path("outputs").exists()
    (line,) = capsys.readouterr().err.strip().splitlines()
    for named in ("hydra.sweeper.hours=1", "hydra/launcher=slurm", "hydra.sweeper.n_trials"):
        assert named in line


@pytest.mark.parametrize(
    ("target", "address", "elsewhere"),
    [
        ("hydra._internal.core_plugins.basic_launcher.BasicLauncher", None, False),
        ("hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher", None, False),
        ("hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher", None, True),
        ("hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher", None, False),
        ("hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher", "10.0.0.1:6379", True),
        ("hydra_plugins.hydra_ray_launcher.ray_aws_launcher.RayAWSLauncher", None, True),
    ],
)
def test_which_launchers_leave_this_machine(
    target: str, address: str | None, elsewhere: bool
) -> None:
    launcher = {"_target_": target, "ray": {"init": {"address": address}}}
    assert is_elsewhere(OmegaConf.create({"hydra": {"launcher": launcher}})) is elsewhere


@pytest.mark.slow
def test_the_smaller_sweep_that_is_advised_is_a_command_that_runs(
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sweep_module, "plan_hours", _plan_a_second_an_epoch)
    monkeypatch.setattr(sweep_module, "visible_gpus", lambda: ["0"])
    free = [o for o in SWEEP if not o.startswith("hydra.sweeper.n_trials")]
    monkeypatch.setitem(globals(), "SWEEP", free)
    run_sweep("hydra.sweeper.hours=0.001")
    printed = capsys.readouterr().out
    command = printed.split("a smaller sweep: python -m resnet_sweep.train ")[1].splitlines()[0]
    words = shlex.split(command)
    monkeypatch.setitem(globals(), "SWEEP", [])
    run_sweep(*words, "hydra.sweeper.study_name=small")
    settings = read_settings(Path("outputs/sweeps/small"))
    assert (settings.n_trials, settings.epochs) == (30, 2)  # SWEEP has fixed the epochs
    assert f"data.train_subset={settings.base['data']['train_subset']}" in words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("hydra/sweeper/pruner=asha", "hydra/sweeper/pruner=none"),
        ("hydra.sweeper.hours=1", "hydra.sweeper.hours=1.0: plans for trials of one length"),
    ],
)
def test_what_takes_trials_for_equally_long_is_refused_beside_swept_epochs(
    more: str, named: str, run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_sweep("train.epochs=choice(10,30)", more)
    assert ended.value.code == 2 and not Path("outputs").exists()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert named in line


@pytest.mark.slow
def test_rungs_that_the_planned_epochs_do_not_reach_are_refused(
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    free = [o for o in SWEEP if not o.startswith("train.epochs=")]
    monkeypatch.setitem(globals(), "SWEEP", free)
    monkeypatch.setattr(sweep_module, "visible_gpus", lambda: ["0"])
    monkeypatch.setattr(sweep_module, "plan_hours", _plan_a_second_an_epoch)
    hours = ["hydra.sweeper.hours=0.01", "hydra/sweeper/pruner=median"]
    with pytest.raises(SystemExit) as ended:  # 18 epochs in all for each of two trials
        run_sweep(*hours, "hydra.sweeper.rungs=[3,8]")
    assert ended.value.code == 2 and not Path("outputs").exists()
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "hydra.sweeper.rungs=[3, 8]: must be fewer than train.epochs=7" in line
    run_sweep(*hours, "hydra.sweeper.rungs=[3,6]")
    assert read_settings(Path("outputs/sweeps/s")).epochs == 9


@pytest.mark.slow
def test_a_sweep_goes_on_with_another_sampler_and_pruner_and_says_so(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep("train.epochs=3")
    assert "goes on so" not in capsys.readouterr().out
    changed = ["hydra/sweeper/sampler=random", "hydra/sweeper/pruner=median"]
    run_sweep("train.epochs=3", *changed)
    printed = capsys.readouterr().out
    assert "hydra.sweeper.pruner was none, is median: the sweep goes on so" in printed
    assert "hydra.sweeper.sampler was TPESampler, is RandomSampler: the sweep goes on" in printed
    run_sweep("train.epochs=3", *changed, "hydra.sweeper.pruner.warmup=0.7")
    printed = capsys.readouterr().out
    assert "hydra.sweeper.pruner.warmup was 0.5, is 0.7: the sweep goes on so" in printed
    settings = read_settings(Path("outputs/sweeps/s"))
    assert settings.sampler["_target_"] == "optuna.samplers.RandomSampler"


@pytest.mark.slow
def test_options_with_the_signs_of_a_new_key_hold_when_a_sweep_goes_on(
    run_sweep: Callable[..., None],
) -> None:
    run_sweep("++hydra.sweeper.n_trials=3")
    run_sweep("++hydra.sweeper.n_trials=4")
    assert len(read_trials(Path("outputs/sweeps/s"))) == 4


@pytest.mark.slow
def test_a_space_that_is_used_up_ends_the_sweep_without_an_error(
    run_sweep: Callable[..., None],
) -> None:
    space = ["optimizer.lr=choice(0.1,0.2,0.3)", "hydra/sweeper/sampler=random"]
    run_sweep(*space, "hydra.sweeper.n_trials=5", "hydra.sweeper.max_rejections=40")
    trials = read_trials(Path("outputs/sweeps/s"))
    assert sum(trial.state == TrialState.COMPLETE for trial in trials) == 3


@pytest.mark.slow
def test_an_extension_that_cannot_be_judged_leaves_nothing_behind(
    run_sweep: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    run_sweep()
    for result in Path("outputs/sweeps/s/runs").glob("*/result.json"):
        result.unlink()
    more = ["hydra.sweeper.study_name=t", "hydra.sweeper.extend_from=outputs/sweeps/s"]
    with pytest.raises(SystemExit) as ended:
        run_sweep(*more, "hydra.sweeper.objectives=[val_accuracy,num_params]")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.count("was judged by [val_accuracy]") == 1
    assert not Path("outputs/sweeps/t").exists()


@pytest.mark.slow
def test_a_sweep_that_has_trained_nothing_begins_anew_with_other_settings(
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise UserError("data.val_size=1000: what the data alone can tell")

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(SweepCommand, "_supervise", fail)
        run_sweep("data.val_size=1000")
    assert ended.value.code == 2
    assert "trained 0" not in capsys.readouterr().out
    run_sweep("data.val_size=200")
    assert "data.val_size was 1000.0, is 200.0: the sweep had" in capsys.readouterr().out
    folder = Path("outputs/sweeps/s")
    assert [trial.number for trial in read_trials(folder)] == [0, 1]
    assert read_settings(folder).base["data"]["val_size"] == 200
    with pytest.raises(SystemExit):
        run_sweep("data.val_size=100")
    assert "differs: data.val_size was 200.0, is 100.0" in capsys.readouterr().err
    assert len(read_trials(folder)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statuses", "count"),
    [
        (["diverged", "failed"], "2 ended (1 diverged, 1 failed)"),
        (["pruned", "pruned"], "2 ended (2 pruned)"),
        (["failed", "pruned"], "2 ended (1 failed, 1 pruned)"),
        ([], "none has ended"),  # hydra.sweeper.timeout_seconds is over before
        (["failed", "completed"], None),
    ],
)
def test_a_sweep_without_a_completed_trial_fails_and_says_what_became_of_them(
    statuses: list[str],
    count: str | None,
    run_sweep: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = iter(statuses)

    def train(config: Config, run_dir: Path, on_epoch: OnEpoch | None = None) -> RunResult:
        result = stub_run_trial(config, run_dir, on_epoch)
        return result_of(config, next(left)) if result.status == "completed" else result

    def train_stubs(sweeping: SweepCommand, *_: object) -> None:
        if statuses:
            work(sweeping.folder, 0, train, prepare)

    monkeypatch.setattr(SweepCommand, "_supervise", train_stubs)
    with nullcontext() if count is None else pytest.raises(SystemExit) as ended:
        run_sweep()
        run_sweep()  # there is nothing left to train
    if ended is not None:
        assert ended.value.code == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ") and count is not None and count in line
