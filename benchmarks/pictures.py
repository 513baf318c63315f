"""The picture of the report in README and docs: a small sweep on the digits, confirmed.

    python benchmarks/pictures.py
    python benchmarks/pictures.py --page outputs/summary/report.html --picture mine.png

The first trains the sweep, confirms its best, summarizes both and writes docs/report.png. The runs
stay in outputs/small: the same command goes on where it was, or only takes the picture again.
Needs chromium, chromium-driver and selenium.
"""

from __future__ import annotations

import argparse
import io
import shlex
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

SIZE = (1280, 1380)
MAX_BYTES = 250_000
COLORS = 256
FOLDER = "outputs/small"
SWEEP = [
    "hydra/sweeper=optuna",
    "data=digits",
    "search_space=[]",
    "model.blocks=[1,1,1]",
    "model.strides=[2,2,2]",
    "model.base_width=range(4,21,4)",
    "model.block=choice(basic,preact)",
    "model.max_params=100000",
    "optimizer=choice(sgd,adamw)",
    "optimizer.lr=tag(log,interval(0.001,0.5))",
    "scheduler=choice(cosine,one_cycle)",
    "regularization.label_smoothing=interval(0.0,0.2)",
    "augmentation=none",
    "train.epochs=10",
    "train.batch_size=32",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
    "hydra.sweeper.n_trials=24",
    "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.noise_repeats=3",
    f"hydra.sweeper.folder={FOLDER}",
    "hydra.sweeper.study_name=digits",
]
CONFIRMATION = ["top_k=2", "num_seeds=3", "over_promise_k=2", "baseline=null", "n_jobs=2"]


def make_page() -> Path:
    """Train and confirm the sweep, and return the report on it."""
    run("-m", "resnet_sweep.train", "-m", *SWEEP)
    run("-m", "resnet_sweep.confirm", f"sweep={FOLDER}/digits", *CONFIRMATION)
    run("analysis/summarize.py", FOLDER)
    return ROOT / FOLDER / "summary" / "report.html"


def run(*words: str) -> None:
    command = ["python", *words]
    print(f"$ {shlex.join(command)}", flush=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, *command[1:]], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    print(f"{time.perf_counter() - began:.0f} s", flush=True)


def photograph(page: Path, picture: Path) -> None:
    """Write the first screen of a report as a PNG of few colours."""
    from report_page import INTERACTIVE, open_browser, wait_for

    driver = open_browser()
    width, height = SIZE
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    driver.get(page.resolve().as_uri())
    driver.execute_async_script(INTERACTIVE)
    wait_for(driver, "figures.parallel.parts !== null")
    driver.execute_script("document.documentElement.style.overflow = 'hidden'")
    driver.execute_script("select([pictures.best[0]])")
    time.sleep(1)
    content = driver.get_screenshot_as_png()
    driver.quit()
    image = Image.open(io.BytesIO(content)).convert("RGB").quantize(COLORS)
    image.save(picture, optimize=True)
    size = picture.stat().st_size
    print(f"{picture}: {size:,} bytes")
    if size > MAX_BYTES:
        sys.exit(f"{picture}: more than {MAX_BYTES:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, help="a report.html (default: of a sweep made here)")
    parser.add_argument("--picture", type=Path, default=ROOT / "docs" / "report.png")
    given = parser.parse_args()
    photograph(given.page or make_page(), given.picture)


if __name__ == "__main__":
    main()
