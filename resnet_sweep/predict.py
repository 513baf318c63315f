"""The entry point of prediction: nets and images in, a folder of predictions out.

python -m resnet_sweep.predict run=outputs/runs/2026-11-22_10-00-00 input=my_images
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.console import say
from resnet_sweep.system.options import read_options
from resnet_sweep.system.staging import check_new_folder, staged_folder

if TYPE_CHECKING:
    from resnet_sweep.prediction.outcome import Outcome

MAX_NAMES = 10


def predict_set(config: PredictConfig) -> Path:
    """Predict a custom set and return the new folder.

        find what is wrong with the output folder, the runs, the set
        say what was recognised
        for each batch: read, see it in each view, average the nets' probabilities
        score where there are labels
        write everything into a temporary folder, which then gets its name

    Raises:
        UserError: in one line, which file and position; nothing is left.
    """
    from resnet_sweep.data.custom import choose_background, read_custom  # these bring torch
    from resnet_sweep.data.labels import describe_number_order
    from resnet_sweep.prediction.outcome import predict_custom
    from resnet_sweep.prediction.output import describe_outcome
    from resnet_sweep.prediction.predicting import load_nets

    assert config.input is not None
    folder = Path(config.output).expanduser()
    check_new_folder(folder)
    nets = load_nets(config.run, config.device, config.precision)
    path = Path(config.input).expanduser()
    background = choose_background([net.config.data for net in nets], config.background)
    custom = read_custom(path, nets[0].class_names, nets[0].image_size, background)
    say(f"recognised: {custom.layout}; {len(custom)} images")
    say(f"classes of this net: {_first_names(nets[0].class_names)}")
    if config.labels == "indices":
        order = describe_number_order(nets[0].class_names)
        told = "labels=indices writes the place of a class in this order, counted from 0"
        say(f"{told}; {order}" if order else told)
    outcome = predict_custom(nets, custom, config)
    for message in custom.messages():
        say(f"note: {message}")
    _write(folder, outcome, config)
    for line in describe_outcome(outcome):
        say(line)
    say(f"predictions: {folder}")
    return folder


def _write(folder: Path, outcome: Outcome, config: PredictConfig) -> None:
    from resnet_sweep.prediction.output import write_outcome

    with staged_folder(folder) as stage:
        write_outcome(stage, outcome, config.labels)
        if config.figures:
            from resnet_sweep.prediction.sheets import draw_sheets  # brings matplotlib

            draw_sheets(stage, outcome)


def _first_names(names: Sequence[str]) -> str:
    """Return class names for a line: whatever an image shows, it gets one of them."""
    rest = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + rest


def main() -> None:
    """Predict one set; see --help."""
    with one_line_errors():
        predict_set(read_options("predict", PredictConfig))


if __name__ == "__main__":
    main()
