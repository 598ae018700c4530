"""``pipeline audit``: what is wrong with published files of prompts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.audit_images import audit_images
from pipeline.cli.output import print_json, print_table, say, show, show_some, write_files
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from stages.prompt.audit import Audit, Other, Problem, Relation
    from stages.prompt.published import PublishedFile
    from stages.prompt.schema import RuleSet

RELATIONS: tuple[Relation, ...] = ("splits", "datasets", "designs")
DIFFERENT = 5
"""Exit code where something is wrong."""

PromptFile = Annotated[
    Path, typer.Argument(help="Prompt JSON of medvlsm or workbook of MedCLIPSeg.", metavar="FILE")
]
Images = Annotated[
    Path | None, typer.Option("--images", help="Folder of the images that the file names.")
]
Masks = Annotated[
    Path | None, typer.Option("--masks", help="Folder of their masks, which are measured.")
]
MaskPattern = Annotated[
    str | None,
    typer.Option(
        "--mask-pattern",
        help="Paths of masks by the image's stem, such as '{stem}_gt.png', instead of the file's.",
    ),
]
Rules = Annotated[
    str, typer.Option("--rules", help="Rule set by which the measured masks are worded.")
]
Against = Annotated[
    Path | None,
    typer.Option("--against", help="A second file: another split, dataset or design."),
]
AgainstImages = Annotated[
    Path | None,
    typer.Option("--against-images", help="Folder of its images. [default: that of --images]"),
]
RelationName = Annotated[
    str | None,
    typer.Option(
        "--relation",
        help="What the second file is: splits (of one dataset), datasets, or designs (other texts"
        " for the same samples). [default: from folders and names]",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="CSV file for all problems.")]


def register(app: typer.Typer) -> None:
    """Add the command group to the app."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.command("prompts")(audit_prompts)
    group.command("images")(audit_images)
    app.add_typer(group, name="audit", help="Find what is wrong with prompts and with splits.")


def audit_prompts(
    file: PromptFile,
    images: Images = None,
    masks: Masks = None,
    against: Against = None,
    rules: Rules = "poudel",
    mask_pattern: MaskPattern = None,
    against_images: AgainstImages = None,
    relation: RelationName = None,
    manifests: options.Manifests = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    out: Out = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare a published prompt file with its masks, with itself and with a second file.

    With --masks, number, size, location and box are measured and compared. With --images, equal
    images (by bytes) and images that look alike are found. Exits 0 where nothing is wrong, and 5
    where something is; images that only look alike are candidates to confirm, and no failure.
    """
    from stages.prompt.audit import audit
    from stages.prompt.published import read_published

    _require_pairs(against, against_images, relation, masks, mask_pattern)
    found = read_published(file)
    rule_set = _rules(rules, manifests) if masks is not None else None
    other = read_published(against) if against is not None else None
    seen = None
    if images is not None or masks is not None:
        from pipeline.cli.audit_files import Folders, look

        folders = Folders(images, masks, mask_pattern)
        seen = look(found, folders, workers=workers, rules=rule_set)
    beside = None
    if other is not None:
        beside = _other(other, images, against_images, relation, workers)
    result = audit(found, rule_set, seen, beside)
    if out is not None:
        write_files(out, {out: _as_csv(result.problems)})
    _tell(found, result, rules if rule_set else None, other, as_json=as_json)
    if result.proven:
        raise typer.Exit(DIFFERENT)


def _require_pairs(
    against: Path | None,
    against_images: Path | None,
    relation: str | None,
    masks: Path | None,
    mask_pattern: str | None,
) -> None:
    """Refuse options that need others, and a relation that there is not."""
    from pipeline.manifest import unknown_name

    if relation is not None and relation not in RELATIONS:
        raise unknown_name("relation", relation, RELATIONS)
    if against is None and (relation is not None or against_images is not None):
        message = "--relation and --against-images are about a second file: give --against FILE"
        raise UsageError(message)
    if masks is None and mask_pattern is not None:
        message = "--mask-pattern is about masks: give --masks DIR"
        raise UsageError(message)


def _rules(name: str, manifests: Path | None) -> RuleSet:
    from pipeline.catalogue import Catalogue, by_id
    from pipeline.manifest import require_known
    from stages.prompt.schema import RuleSet

    declared = Catalogue(manifests).read("prompts", RuleSet)
    known = by_id(declared.items())
    require_known("rule set", name, known)
    return known[name]


def _other(
    file: PublishedFile,
    images: Path | None,
    against_images: Path | None,
    relation: str | None,
    workers: int,
) -> Other:
    """Return the second file, with its images where their folder is known."""
    from stages.prompt.audit import Other

    folder = against_images or images
    chosen = next((one for one in RELATIONS if one == relation), None)
    if folder is None:
        return Other(file, chosen)
    from pipeline.cli.audit_files import Folders, look

    return Other(file, chosen, look(file, Folders(folder, None, None), workers=workers))


def _as_csv(problems: Sequence[Problem]) -> bytes:
    content = io.StringIO(newline="")
    lines = csv.writer(content)
    lines.writerow(("kind", "sample", "attribute", "published", "measured"))
    lines.writerows(asdict(problem).values() for problem in problems)
    return content.getvalue().encode()


def _tell(
    file: PublishedFile,
    result: Audit,
    rules: str | None,
    other: PublishedFile | None,
    *,
    as_json: bool,
) -> None:
    summary = result.summary()
    if as_json:
        document: dict[str, Any] = {
            "file": str(file.path),
            "form": file.form,
            "against": None if other is None else str(other.path),
            "rules": rules,
            "problems": [asdict(problem) for problem in result.problems],
            "summary": summary,
        }
        print_json("audit", document)
        return
    _show_attributes(summary["attributes"])
    if summary["against"] is not None:
        _show_partners(summary["against"])
    show_some(list(map(_line, result.problems)), "--json or --out FILE.csv lists all")
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.kinds.items())
    if rules is None:
        say("nothing was compared with masks; give --masks DIR (and --images DIR) for that")
    say(f"{result.rows} rows; problems: {kinds or 'none'}")


def _show_attributes(attributes: Sequence[dict[str, Any]]) -> None:
    columns = ("attribute", "stated", "compared", "agreeing", "disagreeing")
    print_table(columns, [[str(one[name]) for name in columns] for one in attributes])


def _show_partners(partners: dict[str, Any]) -> None:
    show(
        f"the other file ({partners['relation']}): {partners['shared']} names in both,"
        f" {partners['equal']} with equal texts, {partners['different']} with different ones;"
        f" {partners['without_partner']} without a partner there,"
        f" {partners['against_only']} only there"
    )
    compared = [one for one in partners["attributes"] if one["compared"]]
    columns = ("attribute", "compared", "agreeing", "share")
    rows = [
        [
            one["attribute"],
            str(one["compared"]),
            str(one["agreeing"]),
            f"{100 * one['agreeing'] / one['compared']:.0f} %",
        ]
        for one in compared
    ]
    if rows:
        print_table(columns, rows)


def _line(problem: Problem) -> str:
    """Return a problem in one line."""
    what = f" {problem.attribute}" if problem.attribute else ""
    said = f" {problem.published!r}" if problem.published else ""
    found = f" ({problem.measured})" if problem.measured else ""
    return f"{problem.kind}: {problem.sample}:{what}{said}{found}"
