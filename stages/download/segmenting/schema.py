"""What the manifest of a segmentation dataset declares: images of any size with masks."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from pipeline.manifest import Declared
from stages.download.schema import SPLITS, Licence, Name, Split
from stages.download.segmenting.forms import (
    FigshareForm,
    NiftiForm,
    PairsForm,
    PolygonsForm,
    SegmentationForm,
    form_faults,
)
from stages.download.segmenting.targets import Target, target_faults
from stages.download.sources import FileSource, FolderSource, Source, Text, UrlSource

Family: TypeAlias = Literal[
    "photographic", "breast-ultrasound", "chest-xray", "chest-xray-report", "echocardiography"
]
Frame: TypeAlias = Literal["image", "patient"]
EVERYTHING = "all"
"""Name of the split set that puts every sample into `test`."""

__all__ = [
    "EVERYTHING",
    "Family",
    "FigshareForm",
    "FolderSource",
    "Frame",
    "NiftiForm",
    "PairsForm",
    "PolygonsForm",
    "SegmentationDataset",
    "SegmentationForm",
    "SegmentationManifest",
    "SplitFiles",
    "SplitSet",
    "Target",
    "expand_segmentation",
]


class SplitFiles(Declared):
    """The files of a published split set: who is in which split.

    Each is a file of its own that is fetched like a dataset's files, or the path of a file below
    the dataset's own root. A name in them stands for the image whose name (`listed_as` of the
    reader, else the stem of its file) it is, up to its own suffix and the case of letters; where
    no image has that name, for all images of the patient of that name.
    """

    form: Literal["medvlsm", "medclipseg", "names"]
    """Prompt JSON of medvlsm, prompt workbook of MedCLIPSeg, or a text file of one name a line."""
    train: tuple[UrlSource | Text, ...] = ()
    val: tuple[UrlSource | Text, ...] = ()
    test: tuple[UrlSource | Text, ...] = ()

    def of(self, split: Split) -> tuple[UrlSource | str, ...]:
        """Return the files of a split."""
        files: dict[Split, tuple[UrlSource | str, ...]] = {
            "train": self.train,
            "val": self.val,
            "test": self.test,
        }
        return files[split]


class SplitSet(Declared):
    """A named way to split the samples, with the counts that were published."""

    name: Name
    """`poudel`, `medclipseg`, `official`, or `all`: every sample in `test`."""
    train: PositiveInt | None = None
    """Different images of the split, asserted on reading; may be left out only where the source is
    a folder that tells, or whose published list is counted by `listed`."""
    val: PositiveInt | None = None
    test: PositiveInt | None = None
    listed: dict[Split, PositiveInt] = Field(default_factory=dict)
    """Rows of the published list of a split, asserted on reading where given: more than its images
    where the list repeats names or has one row per target."""
    source: Text
    """Where the split and its counts were read."""
    files: SplitFiles | None = None
    """Published lists of names."""
    folders: dict[Split, tuple[Text, ...]] = Field(default_factory=dict, validate_default=True)
    """Beginnings of the image paths of each split, where folders tell."""

    @field_validator("folders")
    @classmethod
    def _one_way(
        cls, folders: dict[Split, tuple[str, ...]], info: ValidationInfo
    ) -> dict[Split, tuple[str, ...]]:
        faults = _split_faults(info.data, folders)
        if faults:
            raise ValueError("; ".join(faults))
        return folders

    def counts(self) -> dict[Split, int | None]:
        """Return the splits of the set in the order train, val, test; None: to be counted."""
        declared = {"train": self.train, "val": self.val, "test": self.test}
        found = {split for split, count in declared.items() if count is not None}
        found |= set(self.folders) | set(self.listed)
        if self.name == EVERYTHING:
            found.add("test")
        return {split: declared[split] for split in SPLITS if split in found}


class _Declaration(Declared):
    """The fields that a manifest and a concrete dataset have in common."""

    title: Text
    """Name for people."""
    collection: Name
    """The collection it was published in, or a name for several sets of one kind."""
    modality: Text
    """Kind of image, in words."""
    task: Literal["segmentation"]
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    """What the masks show; the position is the layer."""
    typical_size: tuple[PositiveInt, PositiveInt]
    """Height and width of a typical image, pixels: for estimates and the size of shards. Images
    keep their own size."""
    channels: Literal[1, 3]
    """Of a typical image; each keeps its own."""
    prompt_family: Family = "photographic"
    """Which prompts it gets."""
    frame: Frame = "image"
    """Whose left and right the prompts mean: `patient` where the patient faces the viewer."""
    synthetic: bool = False
    """Whether the images were computed, not taken from people."""
    citation: Text
    """How to cite it."""
    licence: Licence
    access: Text
    """How to get it: open download, registration, request, and what must be accepted."""
    reader: SegmentationForm
    source: Source
    """Where the files come from; archives are unpacked whole."""
    further_sources: tuple[FileSource, ...] = Field(default=(), validate_default=True)
    """More archives of the same dataset: their files are seen beside those of `source`, as if all
    had been unpacked into one folder."""

    @field_validator("targets")
    @classmethod
    def _targets_differ(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        if faults := target_faults(targets):
            raise ValueError("; ".join(faults))
        return targets

    @field_validator("reader")
    @classmethod
    def _reader_fits(cls, reader: SegmentationForm, info: ValidationInfo) -> SegmentationForm:
        targets = info.data.get("targets")
        if targets is not None and (faults := form_faults(reader, targets)):
            raise ValueError("; ".join(faults))
        return reader

    @field_validator("further_sources")
    @classmethod
    def _sources_fit(
        cls, further: tuple[FileSource, ...], info: ValidationInfo
    ) -> tuple[FileSource, ...]:
        source = info.data.get("source")
        if source is None:
            return further
        faults = []
        if further and isinstance(source, FolderSource):
            faults.append("a folder has no further sources; put all files into it")
        files = [each.file for each in (source, *further) if not isinstance(each, FolderSource)]
        if not all(files):
            faults.append("a source names no file")
        if len(set(files)) != len(files):
            faults.append("two sources have the same file")
        if faults:
            raise ValueError("; ".join(faults))
        return further


class SegmentationManifest(_Declaration):
    """A file in `manifests/datasets/` with `task = "segmentation"`."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this form of manifest; written `schema = 1`."""
    id: Name
    """Name of the dataset of the split set `all`, and first part of those of the others."""
    split_sets: Annotated[tuple[SplitSet, ...], Field(min_length=1)]
    """Each makes a dataset `<id>-<name>`; `all` makes one called `<id>`."""

    @field_validator("split_sets")
    @classmethod
    def _sets_fit(cls, sets: tuple[SplitSet, ...], info: ValidationInfo) -> tuple[SplitSet, ...]:
        faults = []
        names = [each.name for each in sets]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            faults.append(f"split sets of the same name: {', '.join(repeated)}")
        folder = isinstance(info.data.get("source"), FolderSource)
        for each in sets if info.data.get("source") is not None and not folder else ():
            uncounted = [split for split, count in each.counts().items() if count is None]
            if uncounted:
                faults.append(
                    f"split set {each.name}: give the number of images of {', '.join(uncounted)}"
                )
        if faults:
            raise ValueError("; ".join(faults))
        return sets


class SegmentationDataset(_Declaration):
    """One concrete dataset: the samples of a manifest under one of its split sets."""

    id: Name
    """Name in selectors, sets and folders."""
    family: Name
    """Id of the manifest it comes from."""
    split_set: SplitSet
    mask_source: FolderSource | None = None
    """Folder of the masks, where it is not that of the images; only of a plain folder."""

    @property
    def prompts(self) -> dict[str, tuple[str, ...]]:
        """Named sets of class prompts: none, prompts are made from the masks."""
        return {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the targets in the order of the layers."""
        return tuple(target.name for target in self.targets)


def expand_segmentation(manifest: SegmentationManifest) -> tuple[SegmentationDataset, ...]:
    """Return the concrete datasets of `manifest`, one per split set, in the order declared."""
    fields = {name: getattr(manifest, name) for name in _Declaration.model_fields}
    return tuple(
        SegmentationDataset(
            **fields,
            id=manifest.id if each.name == EVERYTHING else f"{manifest.id}-{each.name}",
            family=manifest.id,
            split_set=each,
        )
        for each in manifest.split_sets
    )


def _split_faults(declared: dict[str, object], folders: dict[Split, tuple[str, ...]]) -> list[str]:
    """Return what is wrong with a split set whose folders are checked last."""
    name, files, listed = declared.get("name"), declared.get("files"), declared.get("listed")
    if name is None or "files" not in declared or listed is None:
        return []  # those fields have faults of their own
    counted = {split for split in SPLITS if declared.get(split) is not None}
    if name == EVERYTHING:
        spare = bool(files or folders or listed or counted - {"test"})
        return ["`all` puts every sample into test; give test or nothing"] if spare else []
    if (files is None) == (not folders):
        return ["give either files (published lists) or folders"]
    if isinstance(files, SplitFiles):
        found = {split for split in SPLITS if files.of(split)}
        if found == counted | set(listed):  # type: ignore[call-overload]
            return []
        return ["files and counts are for the same splits; each list needs its number of images"]
    faults = []
    if listed:
        faults.append("listed counts the rows of files")
    if counted - set(folders):
        faults.append("a split that is counted names its folders")
    return faults
