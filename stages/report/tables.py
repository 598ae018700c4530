"""Tables of a report as files: CSV and LaTeX."""

from __future__ import annotations

import csv
import io

from stages.report.content import Heat, Table

_MARKS = {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$", "×": r"$\times$", "−": "-", "–": "--"}
"""What LaTeX has no letter for."""


def as_csv(table: Table | Heat) -> str:
    """Return a table as CSV with one line of headings."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return sink.getvalue()


def as_latex(table: Table | Heat) -> str:
    """Return a table as a LaTeX ``table`` that needs the package booktabs."""
    from tabulate import tabulate

    body = tabulate(table.rows, table.columns, tablefmt="latex_booktabs", disable_numparse=True)
    notes = "".join(f"\n\\par\\footnotesize {_escaped(note)}" for note in table.notes)
    text = (
        "\\begin{table}\n\\centering\n"
        f"\\caption{{{_escaped(table.title)}}}\n{body}{notes}\n\\end{{table}}\n"
    )
    for mark, written in _MARKS.items():
        text = text.replace(mark, written)
    return text


def _escaped(text: str) -> str:
    for letter in "&%$#_{}":
        text = text.replace(letter, "\\" + letter)
    return text
