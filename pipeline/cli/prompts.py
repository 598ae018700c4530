"""``pipeline build prompts``: from masks to prompts, of declared datasets or of any folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.cli.execution import Resources
    from pipeline.cli.prompt_exports import Export
    from pipeline.cli.study import Study
    from pipeline.store import Store
    from pipeline.unit import Node
    from stages.download.segmenting.schema import SegmentationDataset

DEFAULT_RULES = "fixed"
Rules = Annotated[
    str,
    typer.Option("--rules", help="Rule set: fixed, poudel, medclipseg, tganet or your own."),
]
Images = Annotated[
    Path | None, typer.Option("--images", help="Your folder of images, instead of --datasets.")
]
Masks = Annotated[Path | None, typer.Option("--masks", help="The folder of their masks.")]
ClassName = Annotated[
    str | None, typer.Option("--class-name", help="What the masks show, such as polyp.")
]
Plural = Annotated[
    str | None, typer.Option("--plural", help="Its plural, where English has no rule for it.")
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of your folder as a dataset. [default: from its path]"),
]
ImagePattern = Annotated[
    str | None,
    typer.Option("--image-pattern", help="Paths of images, such as '{stem}.jpg'."),
]
MaskPattern = Annotated[
    list[str] | None,
    typer.Option("--mask-pattern", help="Paths of their masks, such as '{stem}_gt.png'."),
]
Merge = Annotated[
    str | None, typer.Option("--merge", help="union: several masks of an image become one.")
]
Meaning = Annotated[
    str, typer.Option("--meaning", help="What a mask's values say: binary or instances.")
]
FamilyOf = Annotated[
    str | None,
    typer.Option(
        "--family",
        help="Kind of prompts: photographic, breast-ultrasound, chest-xray, chest-xray-report, "
        "echocardiography. [default: the dataset's own, of a folder photographic]",
    ),
]
Frame = Annotated[
    str, typer.Option("--frame", help="Whose left and right is meant: image or patient.")
]
Descriptions = Annotated[
    list[str] | None,
    typer.Option("--description", help="What the class is in general, for P7 to P9; repeatable."),
]
AnswersFile = Annotated[
    Path | None,
    typer.Option("--answers", help="CSV or JSON of shape and colour by image (of a VQA model)."),
]
Exports = Annotated[
    list[str] | None,
    typer.Option(
        "--export",
        help="FORMAT=PATH, repeatable: medvlsm, medclipseg, coco or csv. "
        "{dataset} and {split} in the path are filled.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the target to `pipeline build`."""
    app.command("prompts")(prompts)


def prompts(
    context: typer.Context,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    datasets: options.Datasets = None,
    splits: options.Splits = None,
    rules: Rules = DEFAULT_RULES,
    images: Images = None,
    masks: Masks = None,
    class_name: ClassName = None,
    plural: Plural = None,
    name: Name = None,
    image_pattern: ImagePattern = None,
    mask_pattern: MaskPattern = None,
    merge: Merge = None,
    meaning: Meaning = "binary",
    family: FamilyOf = None,
    frame: Frame = "image",
    description: Descriptions = None,
    answers: AnswersFile = None,
    export: Exports = None,
    source: options.From = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the choice of variants.")] = 0,
    workers: options.Workers = options.DEFAULT_WORKERS,
    no_wait: options.NoWait = False,
    parts: options.Parts = None,
    scheduler: options.Scheduler = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Measure masks and write prompts about them.

    For datasets that manifests declare: pipeline build prompts --datasets kvasir

    For a folder of yours, without any manifest:
    pipeline build prompts --images DIR --masks DIR --class-name polyp --export medvlsm=prompts.json
    """
    from pipeline.cli.execution import Resources, part_of, runner_on
    from pipeline.cli.prompt_exports import parse_exports
    from pipeline.cli.study import Study
    from pipeline.store import Store

    folder = Folder(
        *(images, masks, class_name, plural, name, image_pattern, tuple(mask_pattern or ())),
        *(merge, meaning, frame),
    )
    study = Study(Store.open(store), manifests, local=source, seed=seed)
    exports = parse_exports(export or [])
    chosen = _chosen(study, folder, listed(datasets), listed(splits))
    wording = Wording(rules, family, tuple(description or ()), answers)
    nodes = _nodes(study, chosen, listed(splits), wording)
    runner = runner_on(scheduler, context, manifests)
    resources = Resources(workers, not no_wait, log, runner, part_of(parts))
    _build(study.store, nodes, exports, resources, dry_run=dry_run, as_json=as_json)


class Wording(NamedTuple):
    """How prompts are to be worded."""

    rules: str
    family: str | None
    descriptions: tuple[str, ...]
    answers: Path | None


def _nodes(
    study: Study, datasets: Sequence[str], splits: Sequence[str], wording: Wording
) -> list[Node]:
    from stages.prompt.answers import read_answers

    rules = study.rule_set(wording.rules)
    answers = read_answers(wording.answers) if wording.answers else {}
    return [
        study.prompts(rules, name, split, answers, wording.descriptions, wording.family)
        for name in datasets
        for split in splits or study.splits(name)
    ]


def _build(
    store: Store,
    nodes: Sequence[Node],
    exports: Sequence[Export],
    resources: Resources,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    from pipeline.cli.execution import execute, is_whole, planned, show_plan
    from pipeline.cli.prompt_exports import tell

    plan = planned(store, nodes, resources)
    if dry_run:
        show_plan(store, plan, as_json=as_json)
        return
    execute(store, plan, resources)
    if is_whole(store, nodes, resources):
        tell(store, nodes, exports, as_json=as_json)


class Folder(NamedTuple):
    """What the command line says of a folder that no manifest declares."""

    images: Path | None
    masks: Path | None
    class_name: str | None
    plural: str | None
    name: str | None
    image_pattern: str | None
    mask_patterns: tuple[str, ...]
    merge: str | None
    meaning: str
    frame: str

    def require_none(self) -> None:
        """Refuse options of a folder where datasets are named instead."""
        for option in ("class_name", "plural", "name", "image_pattern", "mask_patterns", "merge"):
            if getattr(self, option):
                flag = option.replace("_", "-").removesuffix("s")
                message = f"--{flag} is for a folder of yours: give --images and --masks too"
                raise UsageError(message)

    def dataset(self) -> SegmentationDataset:
        """Return the folder as a dataset."""
        from stages.download.segmenting.plain import plain_folder

        if self.images is None or self.masks is None or not self.class_name:
            message = "a folder needs --images DIR, --masks DIR and --class-name NAME"
            raise UsageError(message)
        return plain_folder(
            self.images,
            self.masks,
            name=self.name,
            noun=self.class_name,
            plural=self.plural,
            image_pattern=self.image_pattern,
            mask_patterns=self.mask_patterns,
            merge=self.merge,
            meaning=self.meaning,
            frame=self.frame,
        )


def _chosen(
    study: Study, folder: Folder, datasets: Sequence[str], splits: Sequence[str]
) -> list[str]:
    """Return the ids of the datasets to write prompts for."""
    if folder.images is None and folder.masks is None:
        folder.require_none()
        return _declared(study, datasets)
    if datasets or splits:
        message = "--images and --masks name a folder; leave out --datasets and --splits"
        raise UsageError(message)
    dataset = folder.dataset()
    study.add(dataset)
    return [dataset.id]


def _declared(study: Study, names: Sequence[str]) -> list[str]:
    """Return the named datasets with masks; without names, those that the store has."""
    from pipeline.cli.sealed_inputs import stored_datasets

    if not names:
        names = [name for name in stored_datasets(study) if name in study.segmentations]
    if not names:
        message = (
            "name what to write prompts for: --datasets NAME (see `pipeline list datasets`), or "
            "--images DIR --masks DIR --class-name NAME for a folder of yours"
        )
        raise UsageError(message)
    return [study.segmentation(name).id for name in names]
