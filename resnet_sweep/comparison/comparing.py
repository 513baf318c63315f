"""A comparison from its plan to its report.

plan every configuration; refuse what no run could train, before a folder exists
train what is not trained yet
of factors: choose the survivors, once; train each alone and all together, with fresh seeds
report
"""

from __future__ import annotations

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
from resnet_sweep.comparison.command import Call
from resnet_sweep.comparison.factorial import Effects, estimate
from resnet_sweep.comparison.figures import draw
from resnet_sweep.comparison.planning import Factorial, Recipes, plan
from resnet_sweep.comparison.trained import Trained
from resnet_sweep.config.compare import CompareConfig
from resnet_sweep.config.errors import ConfigError, UserError, require
from resnet_sweep.config.mistakes import describe
from resnet_sweep.records.comparison import (
    STUDY,
    SURVIVORS,
    Compared,
    ComparisonPlan,
    Part,
    read_plan,
    write_plan,
)
from resnet_sweep.reporting.report import print_report, write_report
from resnet_sweep.reporting.style import figure_style, save_figure
from resnet_sweep.search.conf_files import ConfFiles, env_set, found_files, with_env_set
from resnet_sweep.system.console import say
from resnet_sweep.workers.coordination import hold_or_refuse
from resnet_sweep.workers.planned import (
    WorkerPool,
    check_runs,
    exit_if_all_failed,
    refuse_others,
    train_planned,
)


def compare(options: CompareConfig, call: Call) -> None:
    """Compare what the options and Hydra's search path say; see Comparing.run."""
    with TemporaryDirectory() as place:
        files = found_files(_primary_config(call), Path(place))
        config = with_env_set(call.config, files.env_set)
        with env_override(env_set(config)):  # a network of the user's own may read them
            Comparing(options, replace(call, config=config), files).run()


def _primary_config(call: Call) -> DictConfig:
    """Return what Hydra composes from the primary configuration of every run.

    The command's own, compare.yaml, says nothing of hydra.searchpath and the like.
    """
    path = [o for o in call.config.hydra.overrides.hydra if o.startswith("hydra.searchpath=")]
    try:
        # As of several runs, each of which may choose what the primary one leaves open.
        return call.context.config_loader.load_configuration(
            call.words.primary, path, RunMode.MULTIRUN
        )
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"--config-name {call.words.primary}: {describe(error)}") from error


class Comparing:
    """One comparison of this process.

    Args:
        files: that every run is composed from.

    Raises:
        UserError: one of its configurations cannot be built.
    """

    def __init__(self, options: CompareConfig, call: Call, files: ConfFiles) -> None:
        self.options, self.call = options, call
        self.workers = WorkerPool(options, call.config, call.context, call.go_on)
        self.recipes = plan(options, files, call.words.given)
        suffix = "_test" if options.split == "test" else ""
        default = f"outputs/comparisons/{self.recipes.name}{suffix}"
        self.folder = Path(options.folder or default)

    def run(self) -> None:
        """Train what is not trained yet, and report.

        Raises:
            UserError: no run could be trained, or the folder is another comparison's.
            SystemExit: it was interrupted, or every run failed.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        planned = self.recipes.runs(self.options.seeds)
        runs = [*planned]
        if isinstance(self.recipes, Factorial) and self.options.survivor_seeds:
            runs += self.recipes.runs_alone()
        check_runs(runs, self.call.config)
        kept = self._kept_plan()
        with hold_or_refuse(self.folder, "folder", self._in_use):
            say(f"comparison: {self.folder}; {', '.join(self.recipes.shown_names)}")
            refuse_others(self.folder / STUDY, planned)  # whose plan must stay
            write_plan(self.folder, kept)
            self._compare(kept)

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
            self.call.words.given,
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
        least = {"num_seeds": kept.num_seeds}
        least |= {"survivor_seeds": kept.survivor_seeds} if kept.survivors else {}
        for what, seeds in least.items():
            allowed = f"{self.folder} was planned with {seeds}: give as many, or more"
            require(getattr(now, what) >= seeds, what, getattr(now, what), allowed)
        return replace(now, survivors=kept.survivors, chosen_by=kept.chosen_by)

    def _compare(self, kept: ComparisonPlan) -> None:
        first = self._train(STUDY, self.recipes, kept.num_seeds)
        parts: list[Part] = []
        followed: Trained | None = None
        if isinstance(self.recipes, Factorial) and first.num_completed:
            names = [factor.name for factor in self.recipes.factors]
            effects = estimate(names, self.recipes.levels, first.values)
            parts = report.effect_parts(self.recipes, effects, first)
            if kept.survivor_seeds:
                kept, followed, part = self._follow(self.recipes, kept, effects)
                parts.append(part)
        elif not isinstance(self.recipes, Factorial):
            parts = [report.recipe_part(kept, self.recipes, first)]
        levels = self.recipes.levels.tolist() if isinstance(self.recipes, Factorial) else []
        compared = Compared(
            self.call.go_on,
            report.title(kept),
            kept,
            self.recipes.left_out,
            levels,
            parts or [Part(kept.design, "Nothing completed", [], first.notes())],
            first.runs,
            followed.runs if followed else [],
        )
        self._report(compared)
        for trained in (first, followed):
            if trained is not None:
                exit_if_all_failed(trained.runs)

    def _report(self, compared: Compared) -> None:
        figures = draw(compared)
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
        return Trained(recipes.names, ended, self.folder)

    def _follow(
        self, factorial: Factorial, kept: ComparisonPlan, effects: Effects
    ) -> tuple[ComparisonPlan, Trained | None, Part]:
        """Train the survivors; they are chosen once, so that their runs stay comparable."""
        chosen = kept.survivors or effects.survivors()
        kept = replace(kept, survivors=chosen, chosen_by=kept.chosen_by or kept.num_seeds)
        if not chosen:
            return kept, None, report.no_survivors(effects)
        try:
            recipes = factorial.survivors(chosen)
            check_runs(recipes.runs(1), self.call.config)
        except UserError as error:  # each alone was checked before
            recipes = factorial.survivors(chosen, without_together=str(error))
        write_plan(self.folder, kept)
        say(f"survivors: {', '.join(chosen)}")
        trained = self._train(SURVIVORS, recipes, kept.survivor_seeds)
        return kept, trained, report.survivor_part(kept, recipes, trained, effects)
