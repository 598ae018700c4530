"""What a report says of its own making: coverage, overlaps, versions, licences."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from pipeline.cli.choices import corruption_of
from pipeline.errors import MissingInputError
from stages.report.content import Heat, Section, Table

if TYPE_CHECKING:
    from pipeline.cli.evaluation import Evaluation
    from pipeline.unit import Node


def coverage(found: Evaluation) -> Section:
    """Return which sets of each corruption are embedded, by dataset and encoder."""
    study = found.study
    columns: dict[str, None] = {}
    lines: dict[tuple[str, str, str], dict[str, list[bool]]] = {}
    for one in found.systems:
        system = one.system
        key = (system.suite, f"{system.dataset}/{system.split}", system.encoder)
        if key in lines:
            continue
        cells = lines.setdefault(key, {})
        for node in study.sets(system.suite, system.dataset, system.split):
            name, _ = corruption_of(node)
            columns.setdefault(name)
            cells.setdefault(name, []).append(_embedded(found, system.encoder, node))
    rows, shades = [], []
    for (suite, split, encoder), cells in lines.items():
        counts = [cells.get(name) for name in columns]
        told = ("" if one is None else f"{sum(one)}/{len(one)}" for one in counts)
        rows.append((suite, split, encoder, *told))
        missing = (None if one is None else 1 - sum(one) / len(one) for one in counts)
        shades.append((None, None, None, *missing))
    heads = ("Suite", "Split", "Encoder", *(name.replace("_", " ") for name in columns))
    title = "Severities that are rendered, embedded and evaluated, of those declared"
    note = "Shaded where some are missing; `pipeline status` and `pipeline plan` say which."
    return Section(
        "coverage",
        "Coverage",
        [Heat("coverage", title, heads, tuple(rows), tuple(shades), (note,))],
    )


def overlaps(found: Evaluation) -> list[str]:
    """Return a line for each encoder whose pretraining data name a dataset or its collection."""
    pairs = {
        (one.system.encoder, one.system.dataset, str(one.images.attributes["collection"]))
        for one in found.systems
    }
    return [
        f"{encoder} may have seen {dataset}: its pretraining data include {entry!r}"
        for encoder, dataset, collection in sorted(pairs)
        for entry in found.study.encoder(encoder).pretraining_data
        if any(_names(entry, name) for name in (dataset, collection))
    ]


def leaks(found: Evaluation) -> list[str]:
    """Return a line for each two splits of evaluated datasets that were compared, or were not."""
    from pipeline.cli.audit_images import sealed_splits, told
    from stages.leaks.stage import comparison_node

    study = found.study
    names = list(dict.fromkeys(one.system.dataset for one in found.systems))
    pairs = itertools.combinations(sealed_splits(study, names, ()), 2)
    nodes = [comparison_node(*pair, workers=1) for pair in pairs]
    unknown = [node for node in nodes if study.store.sealed(node.recipe) is None]
    lines = []
    if unknown:
        chosen = f"--datasets {','.join(names)} {study.options}"
        lines.append(
            f"{len(unknown)} of {len(nodes)} pairs of splits were not searched for shared samples; "
            f"do it with: pipeline audit images {chosen}"
        )
    for node in nodes:
        if study.store.sealed(node.recipe) is None:
            continue
        one = told(study.store.artifact(node.recipe))
        sharing = {kind: counts["confirmed"] for kind, counts in one["shared"].items()}
        if any(sharing.values()):
            shared = ", ".join(f"{count} {kind}" for kind, count in sharing.items() if count)
            lines.append(f"{one['first']} and {one['second']} share samples: {shared}")
    return lines


def provenance(found: Evaluation) -> Section:
    """Return versions, licences and the keys of all results."""
    return Section(
        "provenance", "Provenance and licences", [_datasets(found), _encoders(found), _made(found)]
    )


def _embedded(found: Evaluation, encoder: str, images: Node) -> bool:
    store = found.study.store
    if store.sealed(images.recipe) is None:
        return False
    try:
        return store.sealed(found.study.embedding(encoder, images).recipe) is not None
    except MissingInputError:
        return False


def _names(entry: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name.partition('-')[0])}\b", entry, re.IGNORECASE) is not None


def _datasets(found: Evaluation) -> Table:
    nodes = {one.system.dataset: one.images for one in found.systems}
    rows = tuple(
        (
            name,
            node.attributes["title"],
            node.attributes["licence"]["spdx"],
            node.attributes["licence"]["redistribution"],
            "yes" if node.attributes["synthetic"] else "no",
            node.attributes["citation"],
        )
        for name, node in nodes.items()
    )
    heads = ("Dataset", "Title", "Licence", "May be passed on", "Synthetic", "Citation")
    return Table("datasets", "Datasets", heads, rows)


def _encoders(found: Evaluation) -> Table:
    names = dict.fromkeys(one.system.encoder for one in found.systems)
    rows = []
    for name in names:
        manifest = found.study.encoder(name)
        data = "; ".join(manifest.pretraining_data) or "nothing"
        rows.append((name, manifest.title, manifest.kind, manifest.licence.spdx, data))
    heads = ("Encoder", "Title", "Kind", "Licence", "Pretrained on")
    return Table("encoders", "Encoders", heads, tuple(rows))


def _made(found: Evaluation) -> Table:
    rows = tuple(
        (
            manifest.label,
            manifest.content_digest[:16],
            str(manifest.document["provenance"].get("git_commit") or "")[:12],
            str(manifest.document["provenance"]["sealed"])[:19],
        )
        for manifest in found.manifests()
    )
    heads = ("Artifact", "Content digest", "Commit", "Sealed, UTC")
    return Table("artifacts", "Results this page was made from", heads, rows, folded=True)
