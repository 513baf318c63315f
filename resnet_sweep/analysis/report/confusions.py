"""The confusion matrices that the page holds: those of the best runs that stored predictions."""

from __future__ import annotations

from typing import Any

from resnet_sweep.analysis.figures.confusion import confusion_matrix
from resnet_sweep.analysis.view import View
from resnet_sweep.records.run_folder import RecordError, read_predictions

MAX_RUNS = 100  # each is a file of some 100 kB to read
MAX_CLASSES = 100


def confusions(view: View) -> dict[str, Any]:
    """Return counts by row of the table: [true class][predicted class], and the classes' names."""
    order = view.objective.best_first(view.runs)["run"].tolist()
    rows = {name: place for place, name in enumerate(view.runs["run"].tolist())}
    paths, found, names = view.archive.paths, {}, {}
    having = {each.run for each in view.archive.found if each.has_predictions}
    tried = [run for run in order if run in having]
    for run in tried[:MAX_RUNS]:
        try:
            predictions = read_predictions(paths[run])
        except RecordError:
            continue
        classes = [str(name) for name in predictions.class_names]
        if len(classes) <= MAX_CLASSES:
            found[rows[run]] = confusion_matrix(predictions).tolist()
            names[rows[run]] = classes
    distinct = [list(each) for each in dict.fromkeys(tuple(each) for each in names.values())]
    return {
        "limit": MAX_RUNS,
        "counts": found,
        "classes": distinct,
        "classesOf": {row: distinct.index(each) for row, each in names.items()},
    }
