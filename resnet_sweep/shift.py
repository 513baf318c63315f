"""The entry point of a shift report: nets and images in, tables and a figure of accuracies out.

python -m resnet_sweep.shift run=outputs/runs/2026-11-22_10-00-00
"""

from __future__ import annotations

from pathlib import Path

from resnet_sweep.config.shift import ShiftConfig
from resnet_sweep.system.cli import one_line_errors
from resnet_sweep.system.options import read_options
from resnet_sweep.system.staging import check_new_folder, staged_folder


def main() -> None:
    """Report accuracy on shifted images; see --help."""
    with one_line_errors():
        options = read_options("shift", ShiftConfig)
        from resnet_sweep.prediction.shift_measure import measure  # these bring torch
        from resnet_sweep.prediction.shift_report import print_report, write_report

        folder = Path(options.output).expanduser()
        check_new_folder(folder)
        report = measure(options)
        with staged_folder(folder) as stage:
            write_report(report, stage)
        print_report(report, folder)


if __name__ == "__main__":
    main()
