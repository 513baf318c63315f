"""A sweep trains what Hydra's whole search path gives a single run, and keeps it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TINY_OVERRIDES
from hydra.core.global_hydra import GlobalHydra
from stub_worker import prepare, stub_run_trial

from resnet_sweep.config import Config
from resnet_sweep.records.run_folder import read_config
from resnet_sweep.search.settings import read_settings
from resnet_sweep.sweep import command as sweep_module
from resnet_sweep.sweep.command import SweepCommand
from resnet_sweep.train import main
from resnet_sweep.workers.worker import work

NET = [o for o in TINY_OVERRIDES if not o.startswith(("train.epochs", "optimizer", "seed"))]
SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    *NET,
    "search_space=[]",
    "hydra.sweeper.n_jobs=1",
    "hydra.sweeper.n_trials=1",
    "hydra.sweeper.study_name=s",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
]
LR = "optimizer.lr=interval(0.02,0.2)"
MINE = """
defaults: [config, _self_]
seed: 77
optimizer: {momentum: 0.5}
train: {epochs: 2}
"""
EXPERIMENT = "# @package _global_\noptimizer: {momentum: 0.25}\n"
RunSweep = Callable[..., Config]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunSweep]:
    """Run a sweep with stub trainings and return what its last trial was trained with."""

    def train_stubs(sweeping: SweepCommand, *_: object) -> None:
        assert work(sweeping.folder, 0, stub_run_trial, prepare).kind == "done"

    def run(*words: str, name: str = "s") -> Config:
        command = ["train", *SWEEP, *words, f"hydra.sweeper.study_name={name}"]
        monkeypatch.setattr(sys, "argv", command)
        main()
        runs = sorted(Path(f"outputs/sweeps/{name}/runs").iterdir())
        return read_config(runs[-1])

    monkeypatch.setattr(SweepCommand, "_supervise", train_stubs)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    yield run
    GlobalHydra.instance().clear()


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


def momentum(config: Config) -> float:
    return float(vars(config.optimizer)["momentum"])


def trained_again(printed: str, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Run the printed command that trains the best again, without training."""
    again = printed.rpartition("  again: ")[2].splitlines()[0]
    variables, _, rest = again.partition("python -m resnet_sweep.train ")
    for name, _, value in (word.partition("=") for word in shlex.split(variables)):
        monkeypatch.setenv(name, value)
    configs: list[Config] = []

    def train(config: Config, _run_dir: Path) -> tuple[float, int]:
        configs.append(config)
        return 0.0, 0

    monkeypatch.setattr("resnet_sweep.train._train", train)
    place = f"hydra.run.dir=again_{len(list(Path().iterdir()))}"
    monkeypatch.setattr(sys, "argv", ["train", *shlex.split(rest), place])
    main()
    return configs[0]


@pytest.mark.slow
def test_a_primary_configuration_of_ones_own_holds_in_the_sweep_and_ever_after(
    sweep: RunSweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mine/mine.yaml", MINE)
    own = ["--config-dir", "mine", "--config-name", "mine", LR]
    config = sweep(*own)
    assert (config.seed, momentum(config), config.train.epochs) == (77, 0.5, 2)
    assert not config.evaluate_test  # the sweep's own guard stays
    write("mine/mine.yaml", MINE.replace("0.5", "0.9").replace("77", "5"))
    printed = capsys.readouterr().out
    again = trained_again(printed, monkeypatch)
    assert (again.seed, momentum(again), again.train.epochs) == (77, 0.5, 2)
    config = sweep(*own, "hydra.sweeper.n_trials=2")
    assert (config.seed, momentum(config)) == (77, 0.5)
    assert "mine.yaml changed since the sweep began" in capsys.readouterr().out


@pytest.mark.slow
def test_a_configuration_folder_in_the_package_s_place(sweep: RunSweep) -> None:
    write("mine/mine.yaml", MINE + "hydra: {searchpath: ['file://base']}\n")
    write("base/optimizer/mine.yaml", "defaults: [sgd, _self_]\nname: sgd\n")
    write("mine/train/default.yaml", "defaults: [{/schema/train@_here_: train}, _self_]\n")
    from resnet_sweep.config.compose import conf_dir

    packaged = f"hydra.searchpath=['file://base','file://{conf_dir().resolve()}']"
    path = ["--config-path", str(Path("mine").resolve()), "--config-name", "mine", packaged]
    config = sweep(*path, LR, "optimizer=choice(sgd,mine)")
    assert (config.seed, momentum(config), config.train.epochs) == (77, 0.5, 2)


@pytest.mark.slow
def test_options_of_ones_own_from_two_folders_the_first_of_a_name_first(sweep: RunSweep) -> None:
    write("one/experiment/mine.yaml", EXPERIMENT)
    write("two/experiment/mine.yaml", EXPERIMENT.replace("0.25", "0.75"))
    write("two/experiment/deep/other.yaml", EXPERIMENT.replace("0.25", "0.125"))
    write("two/experiment/source.yaml", EXPERIMENT.replace("0.25", "0.0625"))
    path = "hydra.searchpath=['file://one','file://two']"
    assert momentum(sweep(path, "experiment=mine", LR)) == 0.25
    config = sweep(path, "experiment=choice(deep/other)", LR, name="deep")
    assert momentum(config) == 0.125
    config = sweep(path, "experiment=source", LR, name="shadowed")
    assert momentum(config) != 0.0625  # the package's comes first, as in a single run


@pytest.mark.slow
def test_params_in_an_option_of_ones_own(
    sweep: RunSweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "mine/hparams_search/small.yaml",
        "# @package _global_\ndefaults: [{override /hydra/sweeper: optuna}]\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {train.epochs: 3, "
        "optimizer.momentum: 'choice(0.3)', optimizer.lr: 'interval(0.01,0.1)'}}}\n",
    )
    config = sweep("--config-dir", "mine", "+hparams_search=small")
    assert (momentum(config), config.train.epochs) == (0.3, 3)
    again = trained_again(capsys.readouterr().out, monkeypatch)
    assert (momentum(again), again.train.epochs, again.optimizer.lr) == (
        0.3,
        3,
        config.optimizer.lr,
    )


@pytest.mark.slow
def test_the_sweeper_and_the_space_in_a_primary_configuration(sweep: RunSweep) -> None:
    write(
        "mine/mine.yaml",
        "defaults: [config, override search_space: [], override hydra/sweeper: optuna, "
        "override hydra/sweeper/pruner: none, _self_]\n"
        "search_space: {parameters: {optimizer.momentum: 'choice(0.3)'}}\n"
        "hydra: {sweeper: {n_trials: 2, params: {train.epochs: 1}, start_from: []}}\n"
        "train: {epochs: 4}\n",
    )
    left = [o for o in SWEEP if not o.startswith(("search_space", "hydra/", "hydra.sweeper.n_t"))]
    SWEEP[:], before = left, SWEEP[:]
    try:
        config = sweep("--config-dir", "mine", "--config-name", "mine")
    finally:
        SWEEP[:] = before
    assert (momentum(config), config.train.epochs) == (0.3, 1)
    assert len(list(Path("outputs/sweeps/s/runs").iterdir())) == 1  # there is one choice


@pytest.mark.slow
def test_what_the_environment_gave_at_the_start_stays(
    sweep: RunSweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "mine/mine.yaml", MINE.replace("77", "${oc.env:MY_SEED}") + "resume: ${oc.env:NONE,null}\n"
    )
    monkeypatch.setenv("MY_SEED", "78")
    own = ["--config-dir", "mine", "--config-name", "mine", LR]
    assert sweep(*own).seed == 78
    monkeypatch.setenv("MY_SEED", "5")
    assert trained_again(capsys.readouterr().out, monkeypatch).seed == 78
    monkeypatch.setenv("MY_SEED", "6")
    assert sweep(*own, "hydra.sweeper.n_trials=2").seed == 78
    assert os.environ["MY_SEED"] == "6"


@pytest.mark.slow
def test_the_best_of_a_sweep_can_be_swept_on(sweep: RunSweep) -> None:
    sweep(LR)
    write("outputs/sweeps/s/experiment/best.yaml", EXPERIMENT)
    config = sweep("--config-dir", "outputs/sweeps/s", "experiment=best", LR, name="t")
    assert momentum(config) == 0.25
    assert not Path("outputs/sweeps/t/conf/conf").exists()


def test_a_dry_run_sees_the_same_and_leaves_nothing(
    sweep: RunSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mine/mine.yaml", MINE)
    seen: list[Config] = []

    def dry_run(_space: object, composer: sweep_module.Composer, _n: int, **_: int) -> str:
        seen.append(composer.config({}, None))
        return "report"

    monkeypatch.setattr(sweep_module, "dry_run", dry_run)
    with pytest.raises(FileNotFoundError):  # there are no runs
        sweep("--config-dir=mine", "--config-name=mine", LR, "hydra.sweeper.dry_run=true")
    assert (seen[0].seed, momentum(seen[0])) == (77, 0.5)
    assert not Path("outputs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("choice", ["optimizer=adamw", "optimizer=choice(adamw)"])
def test_an_option_that_a_primary_configuration_leaves_to_be_chosen(
    sweep: RunSweep,
    choice: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("mine/mine.yaml", "defaults: [config, {override optimizer: '???'}, _self_]\nseed: 77\n")
    own = ["--config-dir", "mine", "--config-name", "mine", LR]
    config = sweep(*own, choice)
    assert (config.optimizer.name, config.seed) == ("adamw", 77)
    again = trained_again(capsys.readouterr().out, monkeypatch)
    assert (again.optimizer.name, again.optimizer.lr) == ("adamw", config.optimizer.lr)
    with pytest.raises(SystemExit) as end:
        sweep(*own, name="none")
    assert end.value.code == 2 and "optimizer" in capsys.readouterr().err
    assert not Path("outputs/sweeps/none").exists()


@pytest.mark.slow
def test_variables_that_the_configuration_sets(
    sweep: RunSweep, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a single run they hold for what the configuration reads and for the training."""
    monkeypatch.delenv("MY_SEED", raising=False)
    write(
        "mine/mine.yaml",
        MINE.replace("77", "${oc.env:MY_SEED}")
        + "hydra: {job: {env_set: {MY_SEED: '78', OMP_NUM_THREADS: '1'}}}\n",
    )
    own = ["--config-dir", "mine", "--config-name", "mine", LR]
    assert sweep(*own).seed == 78
    assert trained_again(capsys.readouterr().out, monkeypatch).seed == 78
    given = "hydra.job.env_set.MY_SEED='79'"
    assert sweep(*own, given, name="given").seed == 79
    assert trained_again(capsys.readouterr().out, monkeypatch).seed == 79
    assert read_settings(Path("outputs/sweeps/given")).env_set == {
        "MY_SEED": "79",
        "OMP_NUM_THREADS": "1",
    }
    assert "MY_SEED" not in os.environ


@pytest.mark.slow
def test_a_primary_configuration_that_always_sweeps_says_where(sweep: RunSweep) -> None:
    write(
        "mine/mine.yaml",
        MINE + "hydra: {mode: MULTIRUN, sweep: {dir: 'there/${hydra.job.config_name}'}}\n",
    )
    left = [o for o in SWEEP if o != "-m"]
    SWEEP[:], before = left, SWEEP[:]
    try:
        with pytest.raises(FileNotFoundError):  # the fixture looks below outputs/
            sweep("--config-dir", "mine", "--config-name", "mine", LR)
    finally:
        SWEEP[:] = before
    assert read_config(Path("there/mine/runs/0")).seed == 77
    assert {path.name for path in Path().iterdir()} == {"mine", "there"}
