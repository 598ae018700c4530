"""What goes with every export: README.md, LICENCES.md, and whether it may be passed on at all."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import UsageError
from stages.exchange.contract import Format
from stages.exchange.exported_set import ExportedSet

_ALLOWED = {"pixels": {"clean", "corrupted"}, "derived": {"corrupted"}}


def require_permission(sets: Sequence[ExportedSet], *, private: bool) -> None:
    """Refuse sets whose licence does not let their pixels be passed on.

    Raises
    ------
    UsageError
        Unless the export is `private`: for the user's own use, as its texts then say.
    """
    refused = [one for one in sets if not _may_pass_on(one)]
    if refused and not private:
        first = refused[0]
        licence = first.attributes["licence"]
        more = f" (and {len(refused) - 1} more sets)" if len(refused) > 1 else ""
        message = (
            f"{first.name}: its licence, {licence['spdx']}, lets no more than "
            f"{licence['redistribution']} be passed on{more}; for your own use add --private"
        )
        raise UsageError(message)


def _may_pass_on(one: ExportedSet) -> bool:
    kind = "clean" if one.is_clean else "corrupted"
    return kind in _ALLOWED.get(one.attributes["licence"]["redistribution"], set())


def texts(form: str, of: Format, sets: Sequence[ExportedSet], version: str) -> dict[str, str]:
    """Return README.md and LICENCES.md."""
    return {
        "README.md": of.header(sets) + _readme(form, of, sets, version),
        "LICENCES.md": _licences(sets),
    }


def _readme(form: str, of: Format, sets: Sequence[ExportedSet], version: str) -> str:
    lines = [
        "# Exported image sets",
        "",
        f"Written by MedShards {version} in the format `{form}`, for {of.title}:",
        "",
        *(f"    {line}" for line in of.loading.splitlines()),
        "",
        "Pixels, labels and ids are those of the sealed sets. `export.json` names the recipe and",
        "the content digest of each; `sha256sum -c SHA256SUMS` checks the files. The licences are",
        "in `LICENCES.md`.",
        "",
        "| set | samples |",
        "|---|---|",
        *(f"| {one.name} | {len(one)} |" for one in sets),
    ]
    for one in _datasets(sets):
        lines += ["", f"## {one.dataset}: {one.attributes['title']}", ""]
        if one.attributes.get("synthetic"):
            lines += ["Synthetic images, not taken from people.", ""]
        if one.has_masks:
            lines += ["Masks are 0 or 255, one per target:", ""]
            lines += [f"* {target}" for target in one.targets]
            continue
        lines += ["Labels are numbers of these classes:", ""]
        lines += [f"* {number}: {name}" for number, name in enumerate(one.classes)]
        if one.class_order and one.class_order != one.own_classes:
            lines += ["", "This is not the dataset's own order, but that of the label map given."]
    return "\n".join(lines) + "\n"


def _licences(sets: Sequence[ExportedSet]) -> str:
    lines = ["# Licences", ""]
    private = [one.name for one in sets if not _may_pass_on(one)]
    if private:
        lines += [
            "**Not to be passed on.** The licences do not let the pixels of these sets be given to",
            "others; the export was made for its maker's own use:",
            "",
            *(f"* {name}" for name in private),
            "",
        ]
    for one in _datasets(sets):
        licence = one.attributes["licence"]
        lines += [
            f"## {one.dataset}: {one.attributes['title']}",
            "",
            f"* Licence: {licence['spdx']}",
            f"* May be passed on at most: {licence['redistribution']}",
            f"* Read in: {' '.join(licence['source'].split())}",
        ]
        if licence["share_alike"]:
            lines.append("* Whatever is made of it must carry the same licence.")
        if any(not other.is_clean for other in sets if other.dataset == one.dataset):
            lines.append("* The images of corrupted sets were changed from the originals.")
        lines += ["", " ".join(one.attributes["citation"].split()), ""]
    return "\n".join(lines)


def _datasets(sets: Sequence[ExportedSet]) -> list[ExportedSet]:
    """Return one set of each dataset, in order of first appearance."""
    return list({one.dataset: one for one in reversed(sets)}.values())[::-1]
