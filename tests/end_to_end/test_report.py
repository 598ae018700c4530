"""`report`: one page that answers, in a real browser, without network, raw data or torch."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stages.evaluate.tables import is_few_shot

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTHS = (380, 1440)


@pytest.fixture(scope="session")
def reported(read_only_tiny: Any, once: Any, command_line: Any) -> Path:
    """Return a folder with the tiny store's `report`, its `answer.json` and loaded modules."""

    def build(folder: Path) -> None:
        shutil.copytree(read_only_tiny.folder / "store", folder / "store")
        where = ("--store", folder / "store", "--manifests", read_only_tiny.manifests)
        run = command_line(folder)
        answer = run("report", *where, "--baseline", "pixels", "--out", "report", "--json")
        (folder / "answer.json").write_text(answer.stdout)

    return once("reported", build)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium; skip where none is installed."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    quiet = ("networking", "component-update", "sync")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=found, args=[*flags, *(f"--disable-{name}" for name in quiet)]
        )
        yield started
        started.close()


@pytest.fixture(params=WIDTHS)
def shown(request: pytest.FixtureRequest, browser: Any, reported: Path) -> Iterator[Any]:
    """Return the page at one width, loaded with the network off, and whatever it complained of."""
    context = browser.new_context(viewport={"width": request.param, "height": 900}, offline=True)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("requestfailed", lambda failed: page.complaints.append(failed.url))
    page.goto((reported / "report" / "index.html").as_uri())
    yield page
    context.close()


def test_it_loads_alone(shown: Any) -> None:
    """No request fails, nothing is complained of, and the page does not scroll sideways."""
    assert shown.complaints == []
    wide = shown.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    assert not wide


def test_every_figure_is_visible(shown: Any) -> None:
    """Every drawing and picture has a size, lies within the page and is not empty."""
    figures = shown.query_selector_all("figure")
    assert len(figures) >= 8
    drawings = shown.query_selector_all("figure svg, figure img")
    assert len(drawings) >= len(figures)
    for drawing in drawings:
        drawing.scroll_into_view_if_needed()
        box = drawing.bounding_box()
        assert drawing.is_visible()
        assert box["width"] >= 280
        assert box["height"] >= 80
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
    assert shown.evaluate(loaded)


def test_tables_sort(shown: Any) -> None:
    """A click on a heading sorts by number, a second one the other way round."""
    table = shown.query_selector("#tables table")
    columns = [cell.inner_text() for cell in table.query_selector_all("thead button")]
    clean = columns.index("Clean")

    def values() -> list[float]:
        rows = table.query_selector_all("tbody tr")
        cells = [row.query_selector_all("td")[clean].inner_text() for row in rows]
        return [float(text.rstrip("†‡")) for text in cells]

    before = values()
    button = table.query_selector_all("thead button")[clean]
    button.click()
    assert values() == sorted(before)
    button.click()
    assert values() == sorted(before, reverse=True)
    assert table.query_selector_all("th")[clean].get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(scheme: str, browser: Any, reported: Path) -> None:
    """Text of the page and of its drawings differs clearly from the background."""
    context = browser.new_context(color_scheme=scheme, offline=True)
    page = context.new_page()
    page.goto((reported / "report" / "index.html").as_uri())
    colours = page.evaluate(
        """() => {
          const lightness = (text) => {
            const [r, g, b] = text.match(/\\d+/g).map(Number);
            return 0.299 * r + 0.587 * g + 0.114 * b;
          };
          const style = (element) => getComputedStyle(element);
          return {
            paper: lightness(style(document.body).backgroundColor),
            ink: lightness(style(document.querySelector("p")).color),
            drawn: lightness(style(document.querySelector("figure svg text")).fill),
          };
        }"""
    )
    context.close()
    assert abs(colours["paper"] - colours["ink"]) > 120
    assert abs(colours["paper"] - colours["drawn"]) > 120
    assert (colours["paper"] < 128) == (scheme == "dark")


def test_it_prints(browser: Any, reported: Path) -> None:
    """The page prints on paper, several pages of it."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((reported / "report" / "index.html").as_uri())
    printed = page.pdf(format="A4")
    context.close()
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") > 3


def test_it_answers(reported: Path) -> None:
    """The page says who is most robust, to what, how sure that is, and the tables agree."""
    text = (reported / "report" / "index.html").read_text()
    assert "most robust" in text
    assert "percentage points" in text
    assert "intervals from 1000 bootstrap resamples" in text
    with (reported / "report" / "tables" / "accuracy-1.csv").open() as file:
        rows = list(csv.DictReader(file))
    results = pq.read_table(reported / "report" / "results.parquet").to_pylist()
    for row in rows:
        (clean,) = [
            one["value"]
            for one in results
            if (one["encoder"], one["corruption"], one["metric"], one["protocol"])
            == (row["Encoder"], "clean", "accuracy", "linear-probe")
            and not is_few_shot(one)
        ]
        assert float(row["Clean"].rstrip("†‡")) == pytest.approx(100 * clean, abs=0.005)


def test_few_shot_is_over_five_seeds(reported: Path) -> None:
    """Curves over samples of each class and over shares of the train split, titled as such."""
    text = (reported / "report" / "index.html").read_text()
    assert "tiny: frozen-feature few-shot, 5 seeds" in text
    drawn = reported / "report" / "figures" / "few-shot"
    assert {path.suffix for path in drawn.iterdir()} == {".png", ".svg"}
    assert len({path.stem for path in drawn.iterdir()}) == 2


def test_files_are_named(reported: Path) -> None:
    """`--json` names every file of the report, and each is there."""
    answer = json.loads((reported / "answer.json").read_text())
    names = [Path(name) for name in answer["files"]]
    present = {p for p in (reported / "report").rglob("*") if p.is_file()}
    assert {reported / name for name in names} == present
    kinds = {path.suffix for path in present}
    assert kinds >= {".html", ".svg", ".png", ".csv", ".tex", ".parquet"}


def test_neither_network_nor_torch(reported: Path, pipeline: Any, read_only_tiny: Any) -> None:
    """The report is made with sockets blocked, raw data gone and torch not installed."""
    where = ("--store", reported / "store", "--manifests", read_only_tiny.manifests)
    modules = pipeline.modules("report", *where, "--baseline", "pixels", mode="isolated")
    assert not modules & {"torch", "open_clip", "transformers", "timm", "requests"}
    assert (pipeline.folder / "report" / "index.html").is_file()


def test_a_second_report_is_equal(reported: Path, pipeline: Any, read_only_tiny: Any) -> None:
    """Equal inputs give equal bytes, page and figures alike."""
    where = ("--store", reported / "store", "--manifests", read_only_tiny.manifests)
    pipeline("report", *where, "--baseline", "pixels", "--out", "again")
    for path in sorted((reported / "report").rglob("*")):
        other = pipeline.folder / "again" / path.relative_to(reported / "report")
        assert path.is_dir() or path.read_bytes() == other.read_bytes(), path.name


def test_what_is_missing_is_told(pipeline: Any, store: Path, tmp_path: Path) -> None:
    """Without anything to report the command says what to do first, and makes no folder."""
    answer = pipeline("report", "--store", store, "--datasets", "phantom-oct", rc=4)
    assert "not built; build it with: pipeline build corruptions" in answer.stderr
    assert "Traceback" not in answer.stderr
    answer = pipeline("report", "--store", store, rc=4)
    answer.refused(4, "nothing is there to evaluate", "pipeline embed --model")
    assert not (tmp_path / "report").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    answer = pipeline("report", "--store", store, "--out", "mine", rc=2)
    answer.refused(2, "is no report")


def test_runs_are_compared(reported: Path, pipeline: Any, read_only_tiny: Any) -> None:
    """Two runs added to one leaderboard stand side by side, whatever their order."""
    where = ("--store", reported / "store", "--manifests", read_only_tiny.manifests)
    asked = ("eval", *where, "--baseline", "pixels", "--append", "board")
    for name in ("monday", "tuesday", "monday"):
        pipeline(*asked, "--name", name)
    document = json.loads((pipeline.folder / "board" / "leaderboard.json").read_text())
    rows = [row for row in document["rows"] if row["metric"] == "average_accuracy"]
    assert sorted(row["run"] for row in rows) == ["monday"] * 4 + ["tuesday"] * 4
    pipeline("report", *where, "--baseline", "pixels", "--compare", "board")
    with (pipeline.folder / "report/tables/compared-average-accuracy.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 4
    assert all(row["monday"] == row["tuesday"] != "" for row in table)
    pipeline("report", *where, "--compare", "empty", rc=4).refused(4, "eval --append empty")


def test_shared_samples_are_flagged(reported: Path, pipeline: Any, read_only_tiny: Any) -> None:
    """The page says whether splits were searched for shared samples."""
    page = (reported / "report" / "index.html").read_text()
    assert "pipeline audit images --datasets tiny" in page
    store = pipeline.folder / "store"
    shutil.copytree(reported / "store", store)
    where = ("--store", store, "--manifests", read_only_tiny.manifests)
    pipeline("audit", "images", *where, rc=None)
    pipeline("report", *where, "--baseline", "pixels")
    assert "pipeline audit images" not in (pipeline.folder / "report" / "index.html").read_text()
