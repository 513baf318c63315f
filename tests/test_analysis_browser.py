"""The report in a real browser: figures, table and filter are one, by keyboard too."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_runs import write_run, write_sweep

from resnet_sweep import compose_config
from resnet_sweep.analysis import figures, filter_runs, load_runs
from resnet_sweep.analysis.summary.summarize import Options, summarize
from resnet_sweep.config.compose import to_dict
from resnet_sweep.records.run_folder import write_config

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="needs chromium and chromedriver (apt-get install chromium chromium-driver)",
    ),
]
EVIL = "</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    for switch in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(switch)
    options.add_argument("--window-size=1280,1000")
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    write_sweep(root / "s", trials=60)
    write_run(root / "evil", 0.4, {"data": "digits", "model.name": EVIL}, epochs=4)
    write_run(root / "tested", 0.41, {"data": "digits"}, test_accuracy=0.39, test_loss=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", figures.FIGURES[:1])
        summarize(Options(root=root, output=root / "summary"))
    return root / "summary" / "report.html"


@pytest.fixture
def page(browser: Any, report: Path) -> Any:
    browser.get("about:blank")  # a page that is only loaded again keeps what was chosen
    browser.get(report.as_uri())
    return browser


def run_script(page: Any, script: str, *arguments: Any) -> Any:
    # What was done before is drawn in the next frame, which a busy machine has later.
    page.execute_async_script(
        "const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => done()))"
    )
    return page.execute_script(script, *arguments)


def wait_until(page: Any, script: str) -> Any:
    """Return what a script gives once it is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 60).until(lambda _: run_script(page, f"return {script}"))


def show_table(page: Any) -> None:
    """Bring the table into the window: only there it is drawn."""
    run_script(page, "document.getElementById('body').scrollIntoView()")
    time.sleep(0.5)  # the browser tells the page of it when it has time


def names(page: Any) -> list[str]:
    """Return the first cell of every row that exists at the moment."""
    found: list[str] = run_script(
        page, "return [...document.querySelectorAll('#body tr[role=row] td:first-child')]"
        ".map((cell) => cell.textContent)"
    )  # fmt: skip
    show_table(page)
    return found


def selected(page: Any) -> list[str]:
    found: list[str] = run_script(page, "return [...state.selected].map(nameOf)")
    return found


def show_figure(page: Any, name: str) -> Any:
    """Scroll to a figure and return its host once it is drawn."""
    host = f"figures['{name}'].host"
    run_script(page, f"{host}.scrollIntoView({{ block: 'center' }})")
    wait_until(page, f"figures['{name}'].parts !== null")
    return run_script(page, f"return {host}")


def move_to(page: Any, place: list[float]) -> Any:
    """Return a chain of actions that begins at a place of the window."""
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(page, duration=20)
    chain.w3c_actions.pointer_action.move_to_location(round(place[0]), round(place[1]))
    return chain


def place_of(page: Any, run: str) -> list[float]:
    place: list[float] = run_script(
        page, "return figures.scatter.parts.placeOf(runOf.get(arguments[0]))", run
    )
    return place


def set_filter(page: Any, text: str) -> str:
    run_script(
        page,
        "const box = document.getElementById('filter'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'))",
        text,
    )
    wait_until(page, f"state.filter === {json.dumps(text)}")
    shown: str = run_script(page, "return document.getElementById('shown').textContent")
    return shown


def click_header(page: Any, name: str) -> None:
    run_script(
        page,
        "[...document.querySelectorAll('#head button')]"
        ".find((each) => each.textContent.replace(/ [▲▼]$/, '') === arguments[0]).click()",
        name,
    )


def accuracies(report: Path) -> dict[str, float]:
    root = report.parent.parent
    return {
        path.parent.relative_to(root).as_posix(): json.loads(path.read_text())["val_accuracy"]
        for path in root.rglob("result.json")
    }


def test_it_loads_without_a_word_on_the_console(page: Any) -> None:
    for name in run_script(page, "return Object.keys(figures)"):
        show_figure(page, name)
    said = [entry for entry in page.get_log("browser") if "setting log level" not in str(entry)]
    assert said == []
    assert page.title.startswith("Runs in") and "hacked" not in page.title
    canvases = "figures.scatter.host.querySelectorAll('*')"
    assert run_script(page, f"return {canvases}.length") > 0


def test_it_asks_the_network_for_nothing(page: Any) -> None:
    entries = run_script(page, "return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(entry.startswith("data:") for entry in entries)


def test_the_best_stand_first_and_a_header_sorts(page: Any, report: Path) -> None:
    expected = accuracies(report)
    shown = names(page)
    assert shown == sorted(shown, key=lambda run: -expected[run])
    click_header(page, "val_accuracy")
    worst_first = names(page)
    assert worst_first == sorted(worst_first, key=lambda run: expected[run])
    sort = "return document.querySelector('th[aria-sort]').getAttribute('aria-sort')"
    assert run_script(page, sort) == "ascending"


def test_the_test_set_orders_nothing(page: Any) -> None:
    headers = run_script(
        page, "return [...document.querySelectorAll('#head th')]"
        ".map((each) => [each.textContent, each.querySelector('button') !== null])"
    )  # fmt: skip
    assert ["test_accuracy", False] in headers and ["val_loss", True] in headers


def test_it_filters(page: Any, report: Path) -> None:
    total = len(accuracies(report))
    assert set_filter(page, "") == f"{total} of {total} runs"
    assert set_filter(page, "onerror") == f"1 of {total} runs"
    assert names(page) == ["evil"]
    good = sum(value > 0.9 for value in accuracies(report).values())
    assert set_filter(page, "val_accuracy>0.9") == f"{good} of {total} runs"
    assert set_filter(page, "status=pruned and val_accuracy>=2") == f"0 of {total} runs"
    assert names(page) == []


def test_a_narrow_window_has_rows_of_one_line(page: Any) -> None:
    size = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    rows = "[...document.querySelectorAll('#leaderboard tbody tr')]"
    heights = run_script(page, f"return {rows}.map((row) => row.getBoundingClientRect().height)")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert len(heights) == 10 and max(heights) < 40


CONDITIONS = (
    "num_params < 3e6",
    "optimizer=adamw or num_params<2e6",
    "not optimizer==sgd",
    "status in (pruned, 'diverged') and not (trial<20)",
    "split='val_size=5000 split_seed=0'",
    "model.blocks=[3,3,4,3]",
    "regularization.dropout!=0.1",
    "val_accuracy=0.4",
)


@pytest.mark.parametrize("where", CONDITIONS)
def test_its_filter_is_the_language_of_where(page: Any, report: Path, where: str) -> None:
    runs = load_runs(report.parent.parent)
    expected = len(filter_runs(runs, where))
    assert set_filter(page, where) == f"{expected} of {len(runs)} runs"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("num_params=3M", "3M is not a number"),
        ("split=val_size=1 split_seed=0", "expected and, or or the end before ="),
        ("test_accuracy>0.3", "may not select"),
        ("optimiser=sgd", "there is no column optimiser"),
    ],
)
def test_what_its_filter_cannot_read_is_told(page: Any, where: str, message: str) -> None:
    assert message in set_filter(page, where)


def test_a_run_opens_with_its_settings_and_curves(page: Any, report: Path) -> None:
    set_filter(page, "evil")
    show_table(page)
    run_script(page, "document.querySelector('#body tr[role=row]').click()")
    assert run_script(page, "return document.getElementById('detail').open")
    assert run_script(page, "return document.getElementById('detail-title').textContent") == "evil"
    text = run_script(page, "return document.getElementById('detail-body').textContent")
    assert EVIL in text and "hacked" not in page.title
    wait_until(page, "panelPlots.accuracy !== undefined")
    curves = run_script(page, "return panelPlots.accuracy.curves")
    expected = [0.4 * (0.5 + 0.125 * epoch) for epoch in range(1, 5)]
    assert curves["epoch"] == [1, 2, 3, 4]
    np.testing.assert_allclose(curves["val_accuracy"], expected, rtol=6e-4)


def test_a_panel_has_the_runs_confusion_matrix(page: Any, report: Path) -> None:
    run = "s/runs/7"
    run_script(page, "openRun(runOf.get(arguments[0]))", run)
    cells = run_script(
        page, "return [...document.querySelectorAll('.confusion td[title]')].map((c) => c.title)"
    )  # fmt: skip
    with np.load(report.parent.parent / run / "val_predictions.npz") as arrays:
        labels, guesses = arrays["labels"], arrays["probabilities"].argmax(1)
    total = int((labels == 2).sum())
    wanted = int(((labels == 2) & (guesses == 3)).sum())
    assert len(cells) == 25 and f"class 2 taken for class 3: {wanted} of {total}" in cells


def test_the_command_of_a_run_composes_to_its_configuration(page: Any, trained: Path) -> None:
    page.get(trained.as_uri())
    root = trained.parent.parent
    for run in sorted(path.parent.name for path in root.glob("*/config.json")):
        words = shlex.split(
            run_script(page, "return commandsOf(runOf.get(arguments[0]))[0][1]", run)
        )
        assert words[:3] == ["python", "-m", "resnet_sweep.train"]
        config = json.loads((root / run / "config.json").read_text())
        del config["schema_version"]
        assert to_dict(compose_config(*words[3:])) == config
        commands = run_script(page, "return commandsOf(runOf.get(arguments[0]))", run)
        assert shlex.split(commands[1][1])[3:] == [f"resume={root}/{run}"]
        assert shlex.split(commands[2][1])[2:] == [
            "resnet_sweep.predict",
            f"run={root}/{run}",
            "input=test",
        ]


OVERRIDES = (
    (),
    ("optimizer=adamw", "optimizer.lr=0.00123456789", "augmentation=[cutmix,crop_flip]"),
    ("model=resnet_443", "regularization=strong", "train.epochs=7", "seed=5"),
    ("data=image_folder", "data.root='with blank, and comma'", "augmentation=none"),
    ("model.blocks=[1,2,3,4]", "scheduler=one_cycle", "model.additive_widths=true"),
    ("model.name=mine", "model.widths=[8,8,8,8]", "regularization.name='also mine'"),  # own files
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs whose configurations were composed, as every command does."""
    root = tmp_path_factory.mktemp("composed")
    for place, overrides in enumerate(OVERRIDES):
        write_run(root / str(place), 0.5 + place / 100)
        (root / str(place) / "config.json").unlink()
        write_config(root / str(place), compose_config(*overrides))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", figures.FIGURES[:1])
        summarize(Options(root=root, output=root / "summary"))
    return root / "summary" / "report.html"


def test_the_keyboard_does_it_all(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    set_filter(page, "")
    order = names(page)
    grid = page.find_element("id", "grid")
    grid.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    title = "return document.getElementById('detail-title').textContent"
    assert run_script(page, title) == order[2] and selected(page) == [order[2]]
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not run_script(page, "return document.getElementById('detail').open")
    assert page.switch_to.active_element.get_attribute("id") == "grid"
    grid.send_keys(Keys.ESCAPE, Keys.SPACE)
    assert selected(page) == [order[2]]
    grid.send_keys(Keys.SHIFT, Keys.ARROW_DOWN)
    assert sorted(selected(page)) == sorted(order[2:4])
    grid.send_keys(Keys.NULL, Keys.END)
    active = "document.getElementById(grid.getAttribute('aria-activedescendant'))"
    assert wait_until(page, f"{active}?.firstChild.textContent") == names(page)[-1]


def test_every_control_is_reached_by_tab(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    for name in run_script(page, "return Object.keys(figures)"):
        show_figure(page, name)
    run_script(
        page, "document.activeElement.blur(); scrollTo(0, 0); window.reached = new Set();"
        "addEventListener('focusin', ({ target }) => reached.add(target.id))"
    )  # fmt: skip
    chain = ActionChains(page, duration=0)
    chain.send_keys(Keys.TAB * 150).perform()
    reached = set(run_script(page, "return [...reached]"))
    assert {"filter", "add", "grid", "figure-scatter", "figure-parallel"} <= reached


def test_a_figure_is_walked_by_keyboard(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    host = show_figure(page, "scatter")
    host.send_keys(Keys.END)
    named = run_script(page, "return tip.firstChild.textContent")
    host.send_keys(Keys.ENTER)
    title = run_script(page, "return document.getElementById('detail-title').textContent")
    assert named == title and selected(page) == [named]


# ---- one selection everywhere ----


def test_hovering_names_a_run_and_a_click_selects_it(page: Any) -> None:
    run = names(page)[0]
    show_figure(page, "scatter")
    move_to(page, place_of(page, run)).perform()
    shown = wait_until(page, "tip.classList.contains('on') && tip.firstChild.textContent")
    here = "runOf.get(tip.firstChild.textContent)"
    near = run_script(page, f"return figures.scatter.parts.placeOf({here})")
    np.testing.assert_allclose(near, place_of(page, run), atol=2)
    chain = move_to(page, place_of(page, run))
    chain.click().perform()
    assert selected(page) == [shown]
    assert run_script(page, "return document.getElementById('detail-title').textContent") == shown
    rows = "[...document.querySelectorAll('#body tr[aria-selected=true] td:first-child')]"
    show_table(page)
    assert run_script(page, f"return {rows}.map((cell) => cell.textContent)") == [shown]
    show_figure(page, "accuracy")
    wait_until(page, "document.getElementById('read-curves').textContent.includes('selected')")
    assert shown in run_script(page, "return document.getElementById('read-curves').textContent")


def test_dragging_a_box_selects_its_runs(page: Any, report: Path) -> None:
    show_figure(page, "scatter")
    expected = accuracies(report)
    best = sorted((run for run in expected if run.startswith("s/")), key=lambda r: -expected[r])
    places = {run: place_of(page, run) for run in best[:3]}
    left, right = (f(x for x, _ in places.values()) for f in (min, max))
    top, bottom = (f(y for _, y in places.values()) for f in (min, max))
    chain = move_to(page, [left - 6, top - 6])
    chain.w3c_actions.pointer_action.pointer_down()
    chain.w3c_actions.pointer_action.move_to_location(round(right + 6), round(bottom + 6))
    chain.w3c_actions.pointer_action.pointer_up()
    chain.perform()
    found = wait_until(page, "state.selected.size && [...state.selected].map(nameOf)")
    assert set(places) <= set(found)
    everywhere = {run: place_of(page, run) for run in found}
    assert all(left - 7 <= x <= right + 7 and top - 7 <= y <= bottom + 7
               for x, y in everywhere.values())  # fmt: skip


def test_a_box_on_an_axis_is_a_condition(page: Any, report: Path) -> None:
    show_figure(page, "parallel")
    place = run_script(
        page, "return pictures.axes.findIndex(({ name }) => name === 'optimizer.lr')"
    )
    at = "return figures.parallel.parts.at(arguments[0], arguments[1])"
    (x, low), (_, high) = (run_script(page, at, place, share) for share in (0.3, 0.7))
    chain = move_to(page, [x - 12, low])
    chain.w3c_actions.pointer_action.pointer_down()
    chain.w3c_actions.pointer_action.move_to_location(round(x + 12), round(high))
    chain.w3c_actions.pointer_action.pointer_up()
    chain.perform()
    where = wait_until(page, "state.filter")
    runs = load_runs(report.parent.parent)
    kept = filter_runs(runs, where)
    rates = runs["optimizer.lr"].dropna()
    ends = 10 ** np.quantile(np.log10([rates.min(), rates.max()]), [0.3, 0.7])
    assert 0 < len(kept) < len(runs)
    assert kept["optimizer.lr"].between(ends[0] * 0.8, ends[1] * 1.25).all()
    assert run_script(page, "return document.getElementById('shown').textContent") == (
        f"{len(kept)} of {len(runs)} runs"
    )
    assert run_script(page, "return document.querySelectorAll('.chip').length") == 2
    run_script(page, "document.querySelector('.chip button:last-child').click()")
    assert run_script(page, "return document.querySelectorAll('.chip').length") == 1


def test_a_condition_is_clicked_together(page: Any, report: Path) -> None:
    runs = load_runs(report.parent.parent)
    set_filter(page, "num_params>2e6")
    page.find_element("id", "add").click()
    run_script(
        page, "const { column } = adding.elements; column.value = 'augmentation';"
        "column.dispatchEvent(new Event('change'))"
    )  # fmt: skip
    page.find_element("css selector", "input[value='crop_flip+cutout']").click()
    page.find_element("css selector", "#adding button[type=submit]").click()
    where = run_script(page, "return state.filter")
    assert where == "num_params>2e6 and augmentation=crop_flip+cutout"
    kept = len(filter_runs(runs, where))
    shown = run_script(page, "return document.getElementById('shown').textContent")
    assert shown == f"{kept} of {len(runs)} runs"


def test_columns_can_be_hidden(page: Any) -> None:
    head = "return [...document.querySelectorAll('#head th')].map((th) => th.textContent)"
    before = run_script(page, head)
    run_script(page, "document.querySelector('.menu').open = true")
    page.find_element("css selector", "#columns input[value=epochs]").click()
    assert run_script(page, head) == [name for name in before if name != "epochs"]


def test_a_page_that_is_loaded_again_is_where_it_was(page: Any) -> None:
    set_filter(page, "optimizer=sgd")
    run = names(page)[3]
    run_script(page, "select([runOf.get(arguments[0])]); scrollTo(0, 700); keepNow()", run)
    page.refresh()
    wait_until(page, "state.filter === 'optimizer=sgd'")
    assert selected(page) == [run]
    assert run_script(page, "return scrollY") == 700
    assert run_script(page, "return document.getElementById('filter').value") == "optimizer=sgd"


def test_an_open_page_takes_up_a_new_report(browser: Any, tmp_path: Path) -> None:
    write_sweep(tmp_path / "s", trials=20)
    options = Options(root=tmp_path, output=tmp_path / "summary", watch=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", ())
        summarize(options)
        browser.get((tmp_path / "summary" / "report.html").as_uri())
        set_filter(browser, "optimizer=adamw")
        run = names(browser)[0]
        run_script(browser, "select([runOf.get(arguments[0])])", run)
        write_run(tmp_path / "late", 0.97, {"data": "digits"})
        summarize(options)
    wait_until(browser, "runOf.has('late')")
    assert selected(browser) == [run]
    assert run_script(browser, "return state.filter") == "optimizer=adamw"


@pytest.mark.parametrize("width", [360, 800, 1200, 1600])
def test_nothing_is_cut_off(page: Any, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for name in run_script(page, "return Object.keys(figures)"):
            show_figure(page, name)
        wide = run_script(page, "return document.documentElement.scrollWidth")
        frames = "Object.values(figures).map(({ host }) => host.getBoundingClientRect())"
        ends = run_script(page, f"return {frames}.map(({{ left, right }}) => [left, right])")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width and all(left >= 0 and right <= width for left, right in ends)


def test_figures_follow_the_systems_colours(page: Any) -> None:
    show_figure(page, "scatter")
    color = "return plots[0].below[0].major_label_text_color"
    light = run_script(page, color)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        wait_until(page, f"plots[0].below[0].major_label_text_color !== '{light}'")
        now = run_script(page, color)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    brightness = [int(text[1:3], 16) for text in (light, now)]
    assert brightness[0] < 128 < brightness[1]


PAPER = {"width": 718, "height": 1046, "deviceScaleFactor": 1, "mobile": False}  # A4 in margins


@pytest.fixture
def printed(page: Any) -> Iterator[Any]:
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PAPER)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    yield page
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def visible(page: Any, *ids: str) -> list[bool]:
    shown = "(id) => document.getElementById(id).getClientRects().length > 0"
    found: list[bool] = run_script(page, f"return arguments[0].map({shown})", ids)
    return found


def test_print_shows_the_leaderboards_top_and_the_open_run(printed: Any) -> None:
    run_script(printed, "openRun(0)")
    assert visible(printed, "leaderboard", "detail") == [True, True]
    assert visible(printed, "runs", "parallel", "controls") == [False, False, False]
    rows = "[...document.querySelectorAll('#leaderboard tbody tr')]"
    count = f"{rows}.filter((row) => row.getClientRects().length > 0).length"
    assert run_script(printed, f"return {count}") == 10


def test_print_opens_no_run_and_leaves_the_focus(printed: Any) -> None:
    button = "document.querySelector('#first button.run')"
    run_script(printed, f"if (detail.open) closeRun(); select([3]); {button}.focus()")
    for event in ("beforeprint", "afterprint"):
        run_script(printed, f"dispatchEvent(new Event('{event}'))")
        assert visible(printed, "detail") == [False]
        assert run_script(printed, f"return document.activeElement === {button}")


def test_print_cuts_nothing_off(printed: Any) -> None:
    run_script(printed, "openRun(runOf.get('s/runs/7'))")
    wait_until(printed, "panelPlots.loss?.plot.inner_width > 0")
    beyond = run_script(
        printed, "return [...document.querySelectorAll('#first *, #leaderboard *, #detail *')]"
        ".filter((each) => each.getClientRects().length)"
        ".filter((each) => each.getBoundingClientRect().right > innerWidth + 1 ||"
        " (each.scrollWidth > each.clientWidth + 1"
        " && getComputedStyle(each).overflow !== 'visible'))"
        ".map((each) => each.outerHTML.slice(0, 200))"
    )  # fmt: skip
    assert beyond == []


def test_a_narrow_dark_window_holds_it(page: Any) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        width = run_script(page, "return document.documentElement.scrollWidth")
        colors = run_script(
            page, "const style = getComputedStyle(document.body);"
            "return [style.color, style.backgroundColor]"
        )  # fmt: skip
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    text, back = ([int(n) for n in color[4:-1].split(",")] for color in colors)
    assert width <= 360 and min(text) > 200 and max(back) < 60
