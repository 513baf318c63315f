"""From a folder of runs to tables, figures and a report: see --help."""

from __future__ import annotations

import sys
from pathlib import Path

# A checkout that is not installed works too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from resnet_sweep.analysis.summary.command import main

if __name__ == "__main__":
    main()
