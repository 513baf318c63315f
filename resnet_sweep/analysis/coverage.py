"""Was a hyperparameter varied enough, and evenly enough, to say anything about it?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resnet_sweep.analysis.parameters import MAX_LEVELS, Parameter, Population
from resnet_sweep.analysis.runs import text_of

MIN_CONFIGURATIONS = 10
MIN_PER_LEVEL = 5
CENTRAL_SHARE = 0.8
NARROW = 0.3
LATE_TRIALS = 20


def coverage_remarks(
    population: Population, proposals: Population | None = None
) -> dict[str, list[str]]:
    """Return, by name of the parameter, what to doubt about the values that were tried.

    Args:
        population: what has an objective.
        proposals: all that was proposed, also what was pruned, rejected or failed; null: not
            by a sampler.
    """
    remarks: dict[str, list[str]] = {}
    if len(population.objective) < MIN_CONFIGURATIONS:
        return remarks  # too few for any remark to be news
    for parameter in population.parameters:
        remarks.setdefault(parameter.name, []).extend(_thin(parameter))
    if proposals is not None:
        for parameter in proposals.parameters:
            remarks.setdefault(parameter.name, []).extend(_liked(parameter, proposals))
    return {name: found for name, found in remarks.items() if found}


def _thin(parameter: Parameter) -> list[str]:
    """Say where a parameter was varied too little."""
    values = parameter.values.dropna()
    counts, total = values.value_counts(), len(values)
    if parameter.is_numeric and len(counts) > 2:
        if total < 2 * MIN_PER_LEVEL:
            return [f"only {total} configurations vary it"]
        others = total - int(counts.iloc[0])
        usual = f"{text_of(counts.index[0])} in all but {others} of {total} configurations"
        return [usual] if others < MIN_PER_LEVEL else []
    rare = list(counts[counts < MIN_PER_LEVEL].items())[:3]
    return [f"{text_of(level)} in only {count} of {total} configurations" for level, count in rare]


def _liked(parameter: Parameter, population: Population) -> list[str]:
    """Say where a sampler that learns has stayed with what it liked."""
    late = parameter.present() & (population.order >= population.num_random)
    count = int(late.sum())
    if not population.is_guided or count < LATE_TRIALS:
        return []
    after = f"its {count} proposals after the random ones"
    if parameter.is_numeric and parameter.values.nunique() > MAX_LEVELS:
        share = _central_width(parameter, late.to_numpy(bool))
        text = f"the sampler stayed in {share:.0%} of its range for {CENTRAL_SHARE:.0%} of {after}"
        return [text] if share < NARROW else []
    top = parameter.values[late].value_counts(normalize=True)
    if top.iloc[0] < CENTRAL_SHARE:
        return []
    return [f"the sampler chose {text_of(top.index[0])} in {top.iloc[0]:.0%} of {after}"]


def _central_width(parameter: Parameter, late: npt.NDArray[np.bool_]) -> float:
    """Return the width of the central trials over the whole width, on the parameter's scale."""
    scaled = parameter.scaled().to_numpy()
    low, high = np.quantile(scaled[late], [(1 - CENTRAL_SHARE) / 2, (1 + CENTRAL_SHARE) / 2])
    return float((high - low) / np.ptp(scaled[~np.isnan(scaled)]))
