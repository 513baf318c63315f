"""The picture of the report in README and docs: a small sweep on the digits, photographed.

    python benchmarks/pictures.py                        docs/report.png, from 24 trials (minutes)
    python benchmarks/pictures.py --page outputs/summary/report.html --picture mine.png

Needs chromium, chromium-driver and selenium.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

SIZE = (1280, 1080)
MAX_BYTES = 250_000
COLORS = 256
SWEEP = [
    "hydra/sweeper=optuna",
    "data=digits",
    "search_space=[]",
    "model.blocks=[1,1,1]",
    "model.strides=[1,2,2]",
    "model.base_width=range(4,17,4)",
    "model.block=choice(basic,preact)",
    "optimizer=choice(sgd,adamw)",
    "optimizer.lr=tag(log,interval(0.002,0.5))",
    "scheduler=choice(cosine,one_cycle)",
    "regularization.label_smoothing=interval(0.0,0.2)",
    "augmentation=none",
    "train.epochs=3",
    "train.batch_size=32",
    "hydra/sweeper/pruner=none",
    "hydra.sweeper.start_from=[]",
    "hydra.sweeper.n_trials=24",
    "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.noise_repeats=3",
    "hydra.sweeper.study_name=digits",
]


def make_page(folder: Path) -> Path:
    """Train the sweep and return its report."""
    sweep = [f"hydra.sweeper.folder={folder / 'outputs'}", *SWEEP]
    run([sys.executable, "-m", "resnet_sweep.train", "-m", *sweep])
    run([sys.executable, str(ROOT / "analysis" / "summarize.py"), str(folder / "outputs")])
    return folder / "outputs" / "summary" / "report.html"


def run(command: list[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


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
    with tempfile.TemporaryDirectory() as folder:
        photograph(given.page or make_page(Path(folder)), given.picture)


if __name__ == "__main__":
    main()
