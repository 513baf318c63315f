"""A damaged sweep folder is named in one line and left as it is; what can be mended is."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from conftest import TINY_OVERRIDES
from hydra.core.global_hydra import GlobalHydra
from stub_sweep import read_trials
from stub_worker import prepare, stub_run_trial

from resnet_sweep.sweep.command import SweepCommand
from resnet_sweep.system.atomic import write_text
from resnet_sweep.train import main
from resnet_sweep.workers.storage import JOURNAL
from resnet_sweep.workers.worker import work

FOLDER = Path("outputs/sweeps/s")
SWEEP = [
    "-m",
    "hydra/sweeper=optuna",
    *TINY_OVERRIDES,
    "search_space=[]",
    "optimizer=choice(sgd,adamw)",
    "optimizer.lr=interval(0.02,0.2)",
    "hydra.sweeper.n_jobs=1",
    "hydra.sweeper.study_name=s",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
]


@pytest.fixture(autouse=True)
def _sweep_of_stubs(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let each test have its own copy of a finished sweep."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    yield
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return where a sweep of two trials lies."""

    def train_stubs(sweeping: SweepCommand, *_: object) -> None:
        assert work(sweeping.folder, 0, stub_run_trial, prepare).kind == "done"

    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SweepCommand, "_supervise", train_stubs)
        patch.chdir(folder)
        _run("hydra.sweeper.n_trials=2")
        yield folder


def _run(*overrides: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", *SWEEP, *overrides])
        main()


def _spoil_space(folder: Path) -> None:
    values = json.loads((folder / "settings.json").read_text())
    write_text(folder / "settings.json", json.dumps({**values, "space": "{nonsense"}))


def _append(line: str) -> Callable[[Path], None]:
    def append(folder: Path) -> None:
        with open(folder / JOURNAL, "a") as file:
            file.write(line + "\n")

    return append


def _lose(name: str) -> Callable[[Path], None]:
    def lose(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return lose


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "space": (_spoil_space, "settings.json: cannot be read"),
    "conf": (lambda f: write_text(f / "conf/config.yaml", "a: [1\nb: }"), "s/conf: "),
    "group": (_lose("conf/optimizer"), "s/conf: the sweep's frozen configuration: "),
    "option": (_lose("conf/optimizer/adamw.yaml"), "s/conf: the sweep's frozen configuration: "),
    "no conf": (_lose("conf"), "s/conf: the sweep's frozen configuration: "),
    "unknown log": (_append('{"op_code":99}'), "journal.log: line "),
    "no log": (_append("[]"), "journal.log: line "),
    "settings": (_lose("settings.json"), "settings.json: is missing"),
    "journal": (_lose(JOURNAL), "s/runs: holds runs, but the study has no trial"),
    "other id": (lambda f: write_text(f / "sweep_id", "x"), "s/sweep_id: is not the id"),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_and_left(damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, message = DAMAGE[damage]
    spoil(FOLDER)
    kept = {p: p.read_bytes() for p in FOLDER.rglob("*.[jy]*") if p.is_file()}
    with pytest.raises(SystemExit) as ended:
        _run("hydra.sweeper.n_trials=2")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
    assert all(p.read_bytes() == content for p, content in kept.items())


def test_a_lost_option_is_not_listed_as_there(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(FOLDER / "conf/optimizer")
    with pytest.raises(SystemExit):
        _run("hydra.sweeper.n_trials=2")
    assert "there is no such option; there are none" in capsys.readouterr().err


@pytest.mark.slow
def test_a_lost_id_comes_back_from_the_journal() -> None:
    before = (FOLDER / "sweep_id").read_text()
    (FOLDER / "sweep_id").unlink()
    Path("outputs/sweeps").rename("moved")
    _run("hydra.sweeper.n_trials=2", "hydra.sweeper.folder=moved")
    assert Path("moved/s/sweep_id").read_text() == before
    assert len(read_trials(Path("moved/s"))) == 2


def test_a_folder_in_the_place_of_a_file_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    (tmp_path / "trials.jsonl" / "x").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        write_text(tmp_path / "trials.jsonl", "")
    assert str(caught.value).endswith("/trials.jsonl'") and ".partial" not in str(caught.value)
