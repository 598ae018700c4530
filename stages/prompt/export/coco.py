"""COCO: one file of instances and one of captions, as pycocotools loads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.files import write_whole
from stages.prompt.export.row import PromptRow, of_splits, of_targets, variants

_Key = tuple[str, str, str]


def export_coco(rows: Sequence[PromptRow], path: Path) -> list[Path]:
    """Write two files: instances to `path`, and captions beside it (``<stem>.captions.json``).

    A folder gets ``instances_<split>.json`` and ``captions_<split>.json``. Instances carry box
    (left, top, width, height), area in pixels, the mask file's name and all prompts, but no
    `segmentation`: prompts are made of measures, not of pixels, and a box passed off as an outline
    would be false. An image without the target has no instance. Captions carry `prompt`, `variant`
    and `chosen` beside what COCO asks for. Images have the same ids in both.
    """
    if path.suffix:
        return write_whole(_documents(rows, path, path.with_suffix(".captions.json")))
    files: dict[Path, bytes] = {}
    for split, part in of_splits(rows).items():
        names = (f"instances_{split}.json", f"captions_{split}.json")
        files |= _documents(part, path / names[0], path / names[1])
    return write_whole(files)


def _documents(rows: Sequence[PromptRow], instances: Path, captions: Path) -> dict[Path, bytes]:
    targets = of_targets(rows)
    images: dict[_Key, dict[str, Any]] = {}
    for target in targets:
        images.setdefault(_image(target[0]), _image_entry(len(images) + 1, target[0]))
    names = sorted({target[0].target for target in targets})
    categories = {name: number for number, name in enumerate(names, start=1)}
    info = {"description": "made by medshards; instances have no segmentation"}
    boxes: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    for target in targets:
        image = images[_image(target[0])]["id"]
        box = _instance(target, len(boxes) + 1, image, categories[target[0].target])
        boxes += [box] if box is not None else []
        texts += _captions(target, len(texts), image, box["id"] if box is not None else None)
    shared = {"info": info, "licenses": [], "images": list(images.values())}
    found = {
        instances: shared
        | {
            "annotations": boxes,
            "categories": [
                {"id": number, "name": name, "supercategory": ""}
                for name, number in categories.items()
            ],
        },
        captions: shared | {"annotations": texts},
    }
    return {path: _encoded(document) for path, document in found.items()}


def _image(row: PromptRow) -> _Key:
    return row.dataset, row.split, row.sample


def _image_entry(number: int, row: PromptRow) -> dict[str, Any]:
    return {
        "id": number,
        "file_name": row.image_name,
        "height": row.record.height,
        "width": row.record.width,
        "sample": row.sample,
        "split": row.split,
        "dataset": row.dataset,
    }


def _instance(
    rows: Sequence[PromptRow], number: int, image: int, category: int
) -> dict[str, Any] | None:
    """Return the annotation of a target, None where the image does not show it."""
    whole = rows[0].record.whole
    if whole is None:
        return None
    left, top, right, bottom = whole.box
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [left, top, right - left, bottom - top],
        "area": whole.area,
        "iscrowd": 0,
        "mask_name": rows[0].mask_name,
        "prompts": {
            design: [prompt.text for prompt in prompts]
            for design, prompts in variants(rows).items()
        },
        "attributes": dict(rows[0].attributes.values),
    }


def _captions(
    rows: Sequence[PromptRow], before: int, image: int, instance: int | None
) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": image,
            "caption": row.prompt.text,
            "prompt": row.prompt.design,
            "variant": row.prompt.variant,
            "chosen": row.prompt.chosen,
            "target": row.target,
            "instance_id": instance,
        }
        for number, row in enumerate(rows, start=before + 1)
    ]


def _encoded(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=True) + "\n").encode("ascii")
