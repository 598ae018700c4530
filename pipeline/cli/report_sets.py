"""What a report shows of the images: contact sheets, spectra and densities."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stages.report.content import Item, Paragraph, Picture, Section

if TYPE_CHECKING:
    from pipeline.cli.evaluation import Evaluation
    from pipeline.cli.sealed_sets import Group
    from pipeline.unit import Node

_QUALITY = 85  # of a sheet on the page, JPEG; the file beside the page is exact
_POINTS = 600  # of a projection; more take longer and show no more
_SHOWN = frozenset({"pixels"})
"""Licences' `redistribution` that allows samples to be shown, clean ones among them."""


def evaluated_groups(found: Evaluation) -> list[Group]:
    """Return the sealed sets that are evaluated, by suite and split, with their clean splits."""
    from pipeline.cli.sealed_sets import Group

    groups: dict[tuple[str, str, str], Group] = {}
    for one in found.systems:
        system = one.system
        key = (system.suite, system.dataset, system.split)
        if key not in groups:
            every = found.study.sets(*key)
            sealed = tuple(node for node in every if found.study.store.sealed(node.recipe))
            groups[key] = Group(system.suite, one.images, sealed)
    return list(groups.values())


def contact_sheet_section(found: Evaluation) -> Section | None:
    """Return the section of the paper's Figures 1 and 10 to 15; samples only where they may be."""
    groups = [group for group in evaluated_groups(found) if group.sets]
    shown = [group for group in groups if _may_be_shown(group.clean)]
    items: list[Item] = [
        Paragraph(
            f"No sample of {group.clean.recipe.name} is shown: its licence "
            f"({group.clean.attributes['licence']['spdx']}) does not allow its images to be "
            "passed on."
        )
        for group in groups
        if not _may_be_shown(group.clean)
    ]
    items += _pictures(found, shown)
    return Section("samples", "Samples", items) if items else None


def pixel_sections(found: Evaluation, images: int, workers: int) -> Iterator[Section]:
    """Yield the section of the paper's Figures 2 and 5 C."""
    from pipeline.cli.analyse import analysed
    from stages.analyse import figures

    suites: dict[str, list[Group]] = {}
    for group in evaluated_groups(found):
        if group.sets:
            suites.setdefault(group.suite, []).append(group)
    items: list[Item] = []
    for suite, groups in suites.items():
        measured = analysed(found.study, groups, ("spectra", "densities"), workers, images)
        for kind, draw, caption in (
            ("spectra", figures.profile_figure, "Mean DCT spectra (the paper's Figure 2)."),
            ("densities", figures.density_figure, "Grey levels (the paper's Figure 5 C)."),
        ):
            title = f"{kind.capitalize()}: {suite}"
            items.append(
                _picture(
                    f"{kind}-{suite}",
                    title,
                    caption,
                    draw(suite, measured),
                    draw(suite, measured, "svg"),
                )
            )
    if items:
        yield Section("pixels", "What corruptions do to pixels", items)


def shift_section(found: Evaluation, workers: int) -> Section | None:
    """Return the section of the paper's Figure 3, for every set that is evaluated."""
    from pipeline.cli.analyse_shift import LEGEND, Drawn, measured
    from pipeline.cli.embedded_sets import Selection, embedded_groups
    from stages.analyse.shift_figures import curve_figure, projection_figure

    evaluated = {
        (one.system.encoder, one.system.suite, one.system.dataset, one.system.split)
        for one in found.systems
    }
    names = [tuple(sorted(set(column))) for column in zip(*evaluated, strict=True)]
    chosen = Selection(encoders=names[0], datasets=names[2], splits=names[3])
    groups = [
        group
        for group in embedded_groups(found.study, chosen)
        if (group.encoder, group.suite, group.dataset, group.split) in evaluated
    ]
    if not groups:
        return None
    shifted, planes = measured(found.study, groups, Drawn.asked("tsne", _POINTS), workers)
    items: list[Item] = [Paragraph(line) for line in LEGEND.splitlines()]
    for suite, encoder in dict.fromkeys((group.suite, group.encoder) for group in groups):
        sets = [one for one in shifted if (one.set.suite, one.set.encoder) == (suite, encoder)]
        own = [p for p in planes if (p.sets[0].suite, p.sets[0].encoder) == (suite, encoder)]
        name, title = f"{suite}-{encoder}", f"{encoder}, {suite}"
        items.append(
            _picture(
                f"shift-{name}",
                f"How far embeddings move: {title}",
                "Bands are 95 % intervals, dashes what no shift or chance would give.",
                curve_figure(suite, encoder, sets),
                curve_figure(suite, encoder, sets, "svg"),
            )
        )
        items.append(
            _picture(
                f"projection-{name}",
                f"Clean and corrupted embeddings: {title}",
                f"t-SNE of at most {_POINTS} embeddings (the paper's Figure 3).",
                projection_figure(suite, encoder, own),
                projection_figure(suite, encoder, own, "svg"),
            )
        )
    return Section("shift", "What corruptions do to embeddings", items)


def _pictures(found: Evaluation, groups: Sequence[Group]) -> Iterator[Picture]:
    from pipeline.cli.sheets import contact_sheets, usual_severity
    from stages.corrupt.preview import encode

    sets = [node for group in groups for node in group.sets]
    if not sets:
        return
    for name, sheet in contact_sheets(found.study, sets, usual_severity(sets)):
        rows = ", ".join(row.labels[0] for row in sheet.rows)
        caption = f"First sample. Rows: {rows}. Columns: {', '.join(sheet.columns)}."
        yield _picture(name.removesuffix(".png"), sheet.title, caption, encode(sheet))


def _picture(name: str, title: str, caption: str, png: bytes, svg: bytes | None = None) -> Picture:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    small, told = buffer.getvalue(), f"{title}. {caption}"
    return Picture(name.replace("@", "-"), title, caption, told, png, small, svg)


def _may_be_shown(clean: Node) -> bool:
    return clean.attributes["licence"]["redistribution"] in _SHOWN
