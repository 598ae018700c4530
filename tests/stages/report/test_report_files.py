"""The page and the files of a report, from content made up here."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.drawing import finished, looks, panel_axes
from pipeline.errors import UsageError
from stages.report.content import Figure, Foldable, Heat, Page, Paragraph, Picture, Section, Table
from stages.report.files import write_report
from stages.report.page import render
from stages.report.tables import as_csv, as_latex

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
HOSTILE = '<script>alert("x")</script> & {{ 7*7 }} </style>'


def panel(name: str = "one"):
    """Return a drawn line."""
    with panel_axes() as (figure, axes):
        axes.plot([0, 1], [0, 1], label="a", **looks(["a"])["a"])
        axes.set_xlabel("severity")
        return finished(figure, name, "A line", "a line that rises")


def page(*items: object, title: str = "Report") -> Page:
    """Return a page of one section."""
    return Page(title, "of tests", (Section("all", "All", list(items)),), "made here")  # type: ignore[arg-type]


TABLE = Table("t", "A table", ("Encoder", "mCE"), (("a", "91.5†"), ("b", "100.0")), ("a note",))
HEAT = Heat("h", "Drops", ("Encoder", "x"), (("a", "-3.0"),), ((None, 0.25),))


class Tags(HTMLParser):
    """Collects what a page would load, and whether tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "link", "img", "br", "use", "path"}:
            self.open.append(tag)
        self.scripts += tag == "script"
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href"}]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def test_a_page_loads_nothing() -> None:
    """Every address in a page is a part of it: an anchor or data."""
    picture = Picture("p", "A picture", "of something", "a picture", b"png", b"jpeg")
    items = (Paragraph("text"), TABLE, HEAT, Figure("f", "F", "c", [panel()]), picture)
    tags = Tags()
    tags.feed(render(page(*items, Foldable("Notes", ("one",)))))
    assert tags.addresses
    assert not [text for text in tags.addresses if not text.startswith(("#", "data:"))]


def test_text_is_never_markup() -> None:
    """Hostile text in any place is shown, not run."""
    items = (
        Paragraph(HOSTILE, strong=True),
        Table("t", HOSTILE, (HOSTILE,), ((HOSTILE,),), (HOSTILE,)),
        Foldable(HOSTILE, (HOSTILE,)),
    )
    tags = Tags()
    text = render(page(*items, title=HOSTILE))
    tags.feed(text)
    assert tags.scripts == 1
    assert "alert(&#34;x&#34;)" in text
    assert "{{ 7*7 }}" in text


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_csv_holds_every_cell(rows: list[tuple[str, str]]) -> None:
    """What is read back from the CSV is the table."""
    table = Table("t", "T", ("a", "b"), tuple(rows))
    read = list(csv.reader(io.StringIO(as_csv(table), newline="")))
    assert [tuple(row) for row in read] == [("a", "b"), *rows]


def test_latex_escapes_what_latex_would_read() -> None:
    """Names with underscores, per cent signs and marks become plain LaTeX."""
    table = Table("t", "50% of a_b", ("Encoder",), (("clip_vit & 100%†",),), ("‡ a_note",))
    text = as_latex(table)
    assert r"50\% of a\_b" in text
    assert r"clip\_vit \& 100\%$^{\dagger}$" in text
    assert r"$^{\ddagger}$ a\_note" in text
    assert "†" not in text


def test_a_panel_takes_the_colour_of_its_page() -> None:
    """The SVG is well formed, says what it shows, and has text in the page's own colour."""
    drawn = panel()
    root = ET.fromstring(drawn.svg)
    assert root.get("aria-label") == "a line that rises"
    assert "currentColor" in drawn.svg
    assert root.get("viewBox")
    assert root.get("width") is None
    assert "severity" in "".join(root.itertext())
    assert drawn.png.startswith(b"\x89PNG")


def test_panels_of_one_page_share_no_id() -> None:
    """Clip paths of different panels have different ids, and equal panels equal bytes."""
    found = [set(re.findall(r'\bid="([^"]+)"', panel(name).svg)) for name in ("one", "two")]
    assert found[0]
    assert not found[0] & found[1]
    assert panel() == panel()


def test_everything_is_written(tmp_path: Path) -> None:
    """The page, each figure in both forms, each table in both forms, and what comes along."""
    items = (TABLE, HEAT, Figure("f", "F", "c", [panel()]))
    written = write_report(page(*items), tmp_path / "out", {"results.parquet": b"PAR1"})
    names = {path.relative_to(tmp_path / "out").as_posix() for path in written}
    assert names == {
        "index.html", "results.parquet", "figures/f/one.svg", "figures/f/one.png",
        "tables/t.csv", "tables/t.tex", "tables/h.csv", "tables/h.tex",
    }  # fmt: skip
    assert all(path.stat().st_size for path in written)


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    """Nothing of the earlier one remains."""
    write_report(page(TABLE), tmp_path / "out", {})
    write_report(page(Paragraph("new")), tmp_path / "out", {})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    """A folder with other files, and a file, are refused and unchanged."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("<html>mine</html>")
    with pytest.raises(UsageError, match="is no report"):
        write_report(page(TABLE), tmp_path / "out", {})
    assert (tmp_path / "out" / "index.html").read_text() == "<html>mine</html>"
    with pytest.raises(UsageError, match="is a file"):
        write_report(page(TABLE), tmp_path / "out" / "index.html", {})


def test_a_failure_leaves_the_earlier_report(tmp_path: Path) -> None:
    """Where a file cannot be written the earlier report stays as it was."""
    write_report(page(TABLE), tmp_path / "out", {})
    before = (tmp_path / "out" / "index.html").read_bytes()
    with pytest.raises(OSError, match="File name too long"):
        write_report(page(Paragraph("new")), tmp_path / "out", {"x" * 300: b""})
    assert (tmp_path / "out" / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
