"""The pages in docs/ quote what their scripts print, and link to what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import repaired_flaws

ROOT = Path(__file__).parents[1]
DESIGN = ROOT / "pipeline" / "DESIGN.md"
PAGES = [
    *(ROOT / "README.md", DESIGN),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "stages").glob("*/README.md")),
]


def test_the_flaws_are_as_large_as_the_page_says(tmp_path: Path) -> None:
    """The script prints every number of the page, and draws every figure."""
    page = (ROOT / "docs" / "repaired-flaws.md").read_text()
    quoted = [
        line
        for block in re.findall(r"^```\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    assert repaired_flaws.main(tmp_path) == quoted
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == sorted(re.findall(r"\(figures/(.*?)\)", page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Linked files and the repository's files that a page names exist."""
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:tests|benchmarks|docs|stages)/[\w./-]+\.\w+)`", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_the_design_names_every_module_of_the_engine() -> None:
    """Its table has each of them once, and the files on the path of a sample exist."""
    text = DESIGN.read_text()
    engine = {path.name for path in (ROOT / "pipeline").glob("[!_]*.py")}
    table = text.split("| what they know |")[1].split("\n## ")[0]
    assert sorted(re.findall(r"`(\w+\.py)`", table)) == sorted(engine)
    path = text.split("## The path of one sample")[1].split("\n## ")[0]
    named = set(re.findall(r"`([\w/]+(?:\.py|/))`", path))
    folders = (ROOT, ROOT / "pipeline", *(ROOT / "stages").iterdir())
    assert {one for one in named if not any((at / one).exists() for at in folders)} == set()
