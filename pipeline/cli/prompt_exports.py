"""What `pipeline build prompts` tells, and the files it exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.output import print_json, print_table, say, show, written
from pipeline.errors import UsageError
from pipeline.manifest import require_known

if TYPE_CHECKING:
    from pipeline.store import Store
    from pipeline.unit import Node
    from stages.prompt.export.row import PromptRow
    from stages.prompt.prompt_table import Worded

_SHOWN = 5


@dataclass(frozen=True)
class Export:
    """One `--export FORMAT=PATH`."""

    form: str
    path: str
    """May hold {dataset} and {split}."""


def parse_exports(texts: Sequence[str]) -> list[Export]:
    """Return the exports that are asked for.

    Raises
    ------
    UsageError
        For an unknown format, or text that is not FORMAT=PATH.
    """
    from stages.prompt.export import EXPORTS

    found = []
    for text in texts:
        form, equals, path = text.partition("=")
        if not equals or not path:
            message = f"--export {text!r} is not FORMAT=PATH, such as medvlsm=prompts.json"
            raise UsageError(message)
        require_known("export format", form, EXPORTS)
        try:
            path.format(dataset="", split="")
        except (KeyError, IndexError, ValueError):
            message = f"--export {text!r}: only {{dataset}} and {{split}} may stand in braces"
            raise UsageError(message) from None
        found.append(Export(form, path))
    return found


def tell(store: Store, nodes: Sequence[Node], exports: Sequence[Export], *, as_json: bool) -> None:
    """Print what there is of each split, what failed and why, and write the exports."""
    told = [_summary(store, node) for node in nodes]
    of_path: dict[tuple[str, Path], list[PromptRow]] = {}
    for node in nodes if exports else ():
        targets = _read(store, node)
        dataset, split = (str(node.recipe.parameters[key]) for key in ("dataset", "split"))
        for export in exports:
            path = Path(export.path.format(dataset=dataset, split=split))
            rows = of_path.setdefault((export.form, path), [])
            rows += _rows(store, node, targets, dataset, split)
    files = [str(path) for key, rows in of_path.items() for path in _export(*key, rows)]
    for one in told:
        _say_failures(one)
    if as_json:
        print_json("prompts", {"prompts": told, "files": files})
        return
    headings = ("prompts", "images", "targets", "rows", "empty", "failed")
    print_table(headings, [tuple(str(one[key]) for key in _COLUMNS) for one in told])
    for file in files:
        show(f"wrote {file}")


_COLUMNS = ("name", "images", "targets", "rows", "empty", "failed")


def _read(store: Store, node: Node) -> list[Worded]:
    from stages.prompt.measure import records_from
    from stages.prompt.prompt_table import worded_from

    records = records_from(store.artifact(node.inputs["records"].recipe).index())
    return worded_from(store.artifact(node.recipe).index(), records)


def _summary(store: Store, node: Node) -> dict[str, Any]:
    import pyarrow.compute as pc

    columns = ["sample", "record", "status", "error", "prompt"]
    table = store.artifact(node.recipe).index(columns)
    unworded = table.filter(pc.is_null(table["prompt"]))
    empty = table.filter(pc.equal(table["status"], "empty"))
    failures = dict(zip(*(unworded[name].to_pylist() for name in ("sample", "error")), strict=True))
    return {
        "name": node.recipe.name,
        "recipe_key": node.recipe.key,
        "images": pc.count_distinct(table["sample"]).as_py(),
        "targets": pc.count_distinct(table["record"]).as_py(),
        "rows": table.num_rows - unworded.num_rows,
        "empty": pc.count_distinct(empty["record"]).as_py(),
        "failed": len(failures),
        "failures": [{"sample": name, "error": error} for name, error in failures.items()],
    }


def _say_failures(summary: dict[str, Any]) -> None:
    for failure in summary["failures"][:_SHOWN]:
        say(f"no prompts for {failure['sample']}: {failure['error']}")
    if summary["failed"] > _SHOWN:
        say(f"and {summary['failed'] - _SHOWN} more of {summary['name']}; --json lists all")


def _rows(
    store: Store, node: Node, targets: Sequence[Worded], dataset: str, split: str
) -> Iterator[PromptRow]:
    """Yield a row per prompt; what failed has none."""
    from stages.prompt.export.row import PromptRow

    columns = ["id", "original_filepath", "mask_filepaths"]
    images = store.artifact(node.inputs["images"].recipe)
    files = {row["id"]: row for row in images.index(columns).to_pylist()}
    for target in targets:
        if target.attributes is None:
            continue
        names = files[target.record.sample]
        image = names["original_filepath"] or target.record.sample
        mask = (names["mask_filepaths"] or [image])[0]
        for prompt in target.prompts:
            yield PromptRow(
                sample=target.record.sample,
                target=target.record.target,
                image_name=image,
                mask_name=mask,
                prompt=prompt,
                attributes=target.attributes,
                record=target.record,
                split=split,
                dataset=dataset,
            )


def _export(form: str, path: Path, rows: Sequence[PromptRow]) -> list[Path]:
    from stages.prompt.export import EXPORTS

    with written(path):
        return EXPORTS[form](rows, path)
