"""``pipeline build corruptions --preview``: contact sheets instead of sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.output import print_json, say, show, write_files
from pipeline.cli.sheets import contact_sheets, usual_severity
from pipeline.errors import UsageError
from pipeline.unit import Node

if TYPE_CHECKING:
    from pipeline.cli.execution import Resources
    from pipeline.cli.study import Study
    from stages.corrupt.preview import Sheet


def preview(
    study: Study,
    sets: Sequence[Node],
    severity: int | None,
    out: Path,
    resources: Resources,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Draw what `sets` would hold for the first sample of each split, and write it as PNG.

    Only clean splits that are missing are built.

    Raises
    ------
    UsageError
        If none of the sets has the severity.
    """
    from pipeline.cli.choices import corruption_of, unique
    from pipeline.cli.execution import execute, show_plan
    from pipeline.plan import make_plan

    severities = sorted({severity for _, severity in map(corruption_of, sets)})
    if severity is not None and severity not in severities:
        known = ", ".join(map(str, severities))
        message = f"no selected set has severity {severity}; there are: {known}"
        raise UsageError(message)
    chosen = severity or usual_severity(sets)
    clean = unique(node.inputs["images"] for node in sets)
    plan = make_plan(study.store, clean)
    if dry_run:
        show_plan(study.store, plan, as_json=as_json)
        return
    if plan.steps:
        execute(study.store, plan, resources)
    files = _write(contact_sheets(study, sets, chosen), out)
    if as_json:
        print_json("preview", {"severity": chosen, "files": files})
        return
    for file in files:
        show(file["path"])


def _write(sheets: Iterator[tuple[str, Sheet]], out: Path) -> list[dict[str, Any]]:
    from stages.corrupt.preview import encode

    files = []
    for name, sheet in sheets:
        path = out / name
        write_files(path, {path: encode(sheet)})
        say(f"{path}: {len(sheet.rows)} rows, {len(sheet.columns)} columns")
        rows = [row.labels[0] for row in sheet.rows]
        files.append({"path": str(path), "rows": rows, "columns": list(sheet.columns)})
    return files
