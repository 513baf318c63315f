"""A screening that has ended, read back from its folder, and which of its changes survive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_sweep.effects.command import STUDY
from resnet_sweep.effects.recipes import Factor, Screening
from resnet_sweep.errors import ConfigError

FIELD = "screening"
REPORT = "screening.json"


@dataclass(frozen=True)
class Screened:
    """What a screening found.

    Args:
        screening: its recipes; `factors` are those that change something.
        given: overrides of its command line, which won over the file's.
        num_seeds: that each configuration had.
        effects: of each factor, as a fraction.
        error: standard error of an effect; null: unknown.
    """

    screening: Screening
    given: list[str]
    num_seeds: int
    effects: dict[str, float]
    error: float | None

    @property
    def survivors(self) -> list[str]:
        """The changes that are worth more seeds: better by more than the standard error.

        One that does nothing passes in one of six cases (of normal noise); of real ones of two
        standard errors as many are lost, of three one in 44. Without a measure of the noise
        every change survives that was better at all.
        """
        return [name for name, effect in self.effects.items() if effect > (self.error or 0.0)]

    @property
    def dropped(self) -> list[str]:
        return [name for name in self.effects if name not in self.survivors]


def read_screened(folder: Path) -> Screened:
    """Return what a screening has found.

    Raises:
        ConfigError: the folder holds none, or one that has not ended.
    """
    path = folder / REPORT
    if not path.is_file():
        begun = (folder / STUDY).is_dir()
        reason = "has not ended yet: its own command goes on" if begun else f"has no {REPORT}"
        raise ConfigError(FIELD, folder, f"{reason}; it must be a folder of resnet_sweep.screen")
    try:
        return _screened(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        allowed = f"{REPORT} cannot be read ({error!r}): its own command writes it anew"
        raise ConfigError(FIELD, folder, allowed) from error


def _screened(values: dict[str, Any]) -> Screened:
    recipes, effects = values["recipes"], values["main"]
    used = {effect["name"]: float(effect["difference"]) for effect in effects}
    factors = [Factor(**each) for each in recipes["factors"] if each["name"] in used]
    screening = Screening(recipes["name"], recipes["runs"], recipes["common"], factors)
    error = values["error"]
    return Screened(screening, recipes["given"], recipes["num_seeds"], used, error)
