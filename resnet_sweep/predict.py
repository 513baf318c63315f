"""The entry point of prediction: nets and images in, a folder of predictions out.

python -m resnet_sweep.predict run=outputs/runs/2026-11-22_10-00-00 'input=[test,my_images]'
"""

from __future__ import annotations

from pathlib import Path

from resnet_sweep.config.predict import PredictConfig
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.options import read_options
from resnet_sweep.system.staging import check_new_folder


def main() -> None:
    """Predict one set or several; see --help."""
    with one_line_errors():
        options = read_options("predict", PredictConfig)
        folder = Path(options.output).expanduser()
        check_new_folder(folder)
        from resnet_sweep.prediction.command import predict_inputs  # brings torch

        predict_inputs(options, folder)


if __name__ == "__main__":
    main()
