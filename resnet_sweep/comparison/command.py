"""A comparison from its plan to its report.

plan every configuration; refuse what no run could train, before a folder exists
train what is not trained yet
of factors: choose the survivors, once; train each alone and all together, with fresh seeds
report
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from hydra.core.utils import env_override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from resnet_sweep.comparison import report
from resnet_sweep.comparison.factorial import Effects, estimate
from resnet_sweep.comparison.planning import Factorial, Recipes, plan
from resnet_sweep.comparison.trained import Trained
from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.compose import key_of
from resnet_sweep.config.errors import ConfigError, UserError, require
from resnet_sweep.config.mistakes import describe
from resnet_sweep.model.budget import check_net
from resnet_sweep.records.comparison import (
    PLAN,
    STUDY,
    SURVIVORS,
    Compared,
    ComparisonPlan,
    Part,
    read_plan,
    write_plan,
)
from resnet_sweep.records.folder_kind import refuse_other_kinds
from resnet_sweep.records.run_folder import RESULT
from resnet_sweep.records.sweep_folder import RUNS, EndedRun, check_data
from resnet_sweep.reporting.report import print_report, write_report
from resnet_sweep.reporting.style import figure_style, save_figure
from resnet_sweep.search.conf_files import env_set, found_files, with_env_set
from resnet_sweep.system.console import say
from resnet_sweep.workers.coordination import hold_or_refuse
from resnet_sweep.workers.planned import (
    PlannedRun,
    WorkerPool,
    check_runs,
    exit_if_all_failed,
    refuse_others,
    train_planned,
)


def compare(
    options: CompareConfig, workers: WorkerPool, given: Sequence[str], primary: str
) -> None:
    """Compare what the options and Hydra's search path say.

    Args:
        given: overrides of every run.
        primary: configuration that every run is composed from.

    Raises:
        UserError: no run could be trained, or the folder is another comparison's.
        SystemExit: it was interrupted, or every run failed.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with TemporaryDirectory() as place:
        files = found_files(_primary_config(workers, primary), Path(place))
        swept = with_env_set(workers.config, files.env_set)
        with env_override(env_set(swept)):  # a network of the user's own may read them
            recipes = plan(options, files, given)
            Comparing(options, replace(workers, config=swept), recipes, list(given)).run()


def _primary_config(workers: WorkerPool, primary: str) -> DictConfig:
    """Return what Hydra composes from the primary configuration of every run.

    The command's own, compare.yaml, says nothing of hydra.searchpath and the like.
    """
    given = workers.config.hydra.overrides.hydra
    path = [o.lstrip("+") for o in given if key_of(o) == "hydra.searchpath"]
    try:
        # As of several runs, each of which may choose what the primary one leaves open.
        loader = workers.context.config_loader
        return loader.load_configuration(primary, path, RunMode.MULTIRUN)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"--config-name {primary}: {describe(error)}") from error


class Comparing:
    """One comparison of this process.

    Args:
        given: overrides of every run.
    """

    def __init__(
        self, options: CompareConfig, workers: WorkerPool, recipes: Recipes, given: list[str]
    ) -> None:
        self.options, self.workers, self.recipes, self.given = options, workers, recipes, given
        suffix = "_test" if options.split == "test" else ""
        self.folder = Path(options.folder or f"outputs/comparisons/{recipes.name}{suffix}")
        is_folder = self.folder.is_dir() or not self.folder.exists()
        require(is_folder, "folder", self.folder, "must be a folder")
        refuse_other_kinds(self.folder, PLAN, "folder")

    def run(self) -> None:
        """Train what is not trained yet, and report; see compare."""
        planned = self.recipes.runs(self.options.seeds)
        runs = [*planned]
        if isinstance(self.recipes, Factorial) and self.options.survivor_seeds:
            runs += self.recipes.runs_alone()
        check_runs(runs, self.workers.config)
        self._kept_plan()  # refuses before the folder is touched
        self._check_data(planned)
        with hold_or_refuse(self.folder, "folder", self._in_use):
            kept = self._kept_plan()  # another call may have chosen survivors meanwhile
            say(f"comparison: {self.folder}; {', '.join(self.recipes.shown_names)}")
            refuse_others(self.folder / STUDY, planned)  # whose plan must stay
            write_plan(self.folder, kept)
            compared = self._compare(kept)
            self._report(compared)
            for ended in (compared.runs, compared.survivor_runs):
                if ended:
                    exit_if_all_failed(ended)

    def _check_data(self, planned: Sequence[PlannedRun]) -> None:
        """Refuse other data than those of the runs that there are; all runs read the same."""
        if any((self.folder / STUDY / RUNS).glob(f"*/{RESULT}")):
            from resnet_sweep.data.registry import load_dataset  # brings torch

            data = planned[0].config.data
            check_data(self.folder / STUDY, data, load_dataset(data).fingerprint)

    def _in_use(self, holder: str) -> ConfigError:
        return ConfigError("folder", self.folder, f"is in use ({holder})")

    def _kept_plan(self) -> ComparisonPlan:
        """Return the plan, with the survivors that an earlier call chose.

        Raises:
            UserError: the folder is another comparison's, or had more seeds.
        """
        options, recipes = self.options, self.recipes
        now = ComparisonPlan(
            options.design,
            options.split,
            recipes.name,
            recipes.names,
            self.given,
            options.seeds,
            options.survivor_seeds,
        )
        kept = read_plan(self.folder)
        if kept is None:
            return now
        for what in ("design", "split", "recipes"):
            was, wanted = getattr(kept, what), getattr(now, what)
            shown = f"{what} {was}" if isinstance(was, str) else f"other {what}"
            allowed = f"holds a comparison with {shown}: take another folder, or delete this one"
            require(was == wanted, "folder", self.folder, allowed)
        unknown = [name for name in kept.survivors or [] if name not in recipes.shown_names]
        if unknown:
            problem = f"is damaged: survivors has {unknown[0]}, which is no factor"
            raise UserError(f"{self.folder / PLAN}: {problem}; take another folder")
        least = {"num_seeds": kept.num_seeds}
        least |= {"survivor_seeds": kept.survivor_seeds} if kept.survivors else {}
        for what, seeds in least.items():
            allowed = f"{self.folder} was planned with {seeds}: give as many, or more"
            require(getattr(now, what) >= seeds, what, getattr(now, what), allowed)
        return replace(now, survivors=kept.survivors, chosen_by=kept.chosen_by)

    def _compare(self, kept: ComparisonPlan) -> Compared:
        recipes, first = self.recipes, self._train(STUDY, self.recipes, kept.num_seeds)
        parts: list[Part] = []
        levels: list[list[int]] = []
        survivor_runs: list[EndedRun] = []
        if isinstance(recipes, Factorial):
            levels = recipes.levels.tolist()
            if first.num_completed:
                names = [factor.name for factor in recipes.factors]
                effects = estimate(names, recipes.levels, first.values)
                parts = report.effect_parts(recipes, effects, first)
                if kept.survivor_seeds:
                    kept, part, survivor_runs = self._follow(recipes, kept, effects)
                    parts.append(part)
        else:
            parts = [report.recipe_part(kept, first)]
        return Compared(
            self.workers.go_on,
            report.title(kept),
            kept,
            recipes.left_out,
            levels,
            parts or [Part(kept.design, "Nothing completed", [], first.notes())],
            first.runs,
            survivor_runs,
        )

    def _report(self, compared: Compared) -> None:
        figures = report.draw(compared)
        written = report.to_report(compared)
        paths: list[Path] = []
        if SURVIVORS in figures:
            with figure_style():
                paths += save_figure(figures[SURVIVORS], self.folder, SURVIVORS)
        paths += write_report(self.folder, written, figures.get(report.STEM))
        print_report(written, paths)

    def _train(self, stage: str, recipes: Recipes, num_seeds: int) -> Trained:
        place, title = self.folder / stage, f"compare: {self.folder}"
        accuracy = f"{self.options.split}_accuracy"
        runs = recipes.runs(num_seeds)
        ended = train_planned(place, accuracy, runs, self.workers, title)
        return Trained(recipes, ended, self.folder)

    def _follow(
        self, factorial: Factorial, kept: ComparisonPlan, effects: Effects
    ) -> tuple[ComparisonPlan, Part, list[EndedRun]]:
        """Train the survivors; they are chosen once, so that their runs stay comparable."""
        chosen = kept.survivors or effects.survivors()  # none yet: these seeds choose anew
        kept = replace(kept, survivors=chosen, chosen_by=kept.chosen_by or kept.num_seeds)
        if not chosen:
            return kept, report.no_survivors(effects), []
        try:
            recipes = factorial.survivors(chosen)
            # Nothing that may be away now and back later: the next call must decide alike.
            check_net(recipes.configs[-1])
        except UserError as error:  # each alone was checked before
            recipes = factorial.survivors(chosen, without_together=str(error))
        write_plan(self.folder, kept)
        say(f"survivors: {', '.join(chosen)}")
        trained = self._train(SURVIVORS, recipes, kept.survivor_seeds)
        return kept, report.survivor_part(kept, trained, effects), trained.runs
