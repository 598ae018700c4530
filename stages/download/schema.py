"""What a dataset manifest declares, and the concrete datasets it stands for."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from pipeline.manifest import Declared
from stages.download.size import Size, name_of, shape_of
from stages.download.sources import FileName, FolderSource, Promise, SingleFile, Source, Text

Split: TypeAlias = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
ClassText: TypeAlias = Text | Annotated[tuple[Text, ...], Field(min_length=1)]


class Licence(Declared):
    """What may be done with a dataset's images, and where that was read."""

    spdx: Text
    """SPDX identifier, such as `CC-BY-4.0`."""
    redistribution: Literal["pixels", "derived", "embeddings", "recipes"]
    """The most that may be passed on: clean images, corrupted images, embeddings, recipes only."""
    share_alike: bool
    """Whether whatever is passed on must carry the same licence."""
    source: Text
    """Where the licence was read."""

    @field_validator("share_alike")
    @classmethod
    def _agrees_with_name(cls, share_alike: bool, info: ValidationInfo) -> bool:
        parts = info.data.get("spdx", "").split("-")
        if "SA" in parts and not share_alike:
            message = f"{info.data['spdx']} is a share-alike licence; write share_alike = true"
            raise ValueError(message)
        if "ND" in parts and info.data.get("redistribution") in {"pixels", "derived"}:
            message = f"{info.data['spdx']} allows no derived images; set redistribution lower"
            raise ValueError(message)
        return share_alike


class MedMNISTForm(Declared):
    """An npz with `{train,val,test}_{images,labels}` (MedMNIST v1 to v3)."""

    form: Literal["medmnist"]


class MedIMetaForm(Declared):
    """A MedIMeta folder: info.yaml, images.hdf5 or images/*.tiff, task_labels, splits."""

    form: Literal["medimeta"]
    task: Text
    """Task name, as in info.yaml."""
    collection_id: Name
    """The dataset's own id within MedIMeta, as in info.yaml."""


class FolderForm(Declared):
    """Image files in folders named by split and class, or by class with a splits file."""

    form: Literal["folder"]
    folders: tuple[Text, ...] = ()
    """Folder of each class in label order; default: the class names."""
    root: str = ""
    """Folder, within what was unpacked or named, that holds the splits or classes."""
    splits_file: FileName = ""
    """CSV in the root with columns `path` and `split`; empty: the first folder is the split."""
    fit: Literal["centre-crop", "exact"] = "centre-crop"
    """Centre-crop to the declared aspect ratio and resize (bicubic) images of another size, or
    refuse them."""
    exif: Literal["ignored"] = "ignored"
    """Orientation tags are not applied: pixels are taken as they are stored."""


class PhantomForm(Declared):
    """Synthetic images, rendered instead of read."""

    form: Literal["phantom"]
    modality: Literal["blood", "mammography", "chest", "fundus", "oct"]
    """Which generator draws them."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every image's random stream."""


Form: TypeAlias = Annotated[
    MedMNISTForm | MedIMetaForm | FolderForm | PhantomForm, Field(discriminator="form")
]


class Splits(Declared):
    """Number of samples of each split; a split that does not exist is left out."""

    train: PositiveInt | None = None
    val: PositiveInt | None = None
    test: PositiveInt | None = None

    def counts(self) -> dict[Split, int]:
        """Return the declared splits in the order train, val, test."""
        pairs: list[tuple[Split, int | None]] = [
            ("train", self.train),
            ("val", self.val),
            ("test", self.test),
        ]
        return {name: count for name, count in pairs if count is not None}


class Variant(Promise):
    """One of several sizes in which the same samples are published."""

    size: Size
    """Side of its square images, or [height, width], pixels."""
    file: Annotated[FileName, Field(min_length=1)]
    """Name of its file."""


class _Declaration(Declared):
    """The fields that a manifest and a concrete dataset have in common."""

    id: Name
    """Name in selectors, sets and folders."""
    title: Text
    """Name for people."""
    collection: Name
    """The collection it was published in: `medimeta`, `medmnist`, `phantom` or another."""
    modality: Text
    """Kind of image, in words."""
    task: Literal["multi-class", "binary", "ordinal", "multi-label"]
    """Kind of label: one class per sample, or for `multi-label` any number of them."""
    classes: Annotated[tuple[Text, ...], Field(min_length=2)]
    """Class names; the position is the label, as the dataset's own files number it.

    For a multi-label task the position is that of the class's 0 or 1 among a sample's labels."""
    channels: Literal[1, 3]
    """1 for gray images, 3 for RGB."""
    synthetic: bool = False
    """Whether the images were computed, not taken from people."""
    citation: Text
    """How to cite it."""
    licence: Licence
    reader: Form
    source: Source | None = Field(default=None, validate_default=True)
    """Where the files come from; none for phantoms."""
    splits: Splits | None = Field(default=None, validate_default=True)
    """Sample counts, asserted on reading; only image folders may leave them out."""
    prompts: dict[Name, tuple[ClassText, ...]] = Field(default_factory=dict)
    """Named sets of class prompts: for each class in label order, one text or several."""
    absent_prompts: dict[Name, tuple[ClassText, ...]] = Field(
        default_factory=dict, validate_default=True
    )
    """For a multi-label task, what says that a class is absent, under the names of `prompts`."""

    @field_validator("classes")
    @classmethod
    def _unique_classes(cls, classes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if repeated := sorted({name for name in classes if classes.count(name) > 1}):
            message = f"class names must differ; repeated: {', '.join(repeated)}"
            raise ValueError(message)
        if info.data.get("task") == "binary" and len(classes) != 2:
            message = f"a binary task has 2 classes, not {len(classes)}"
            raise ValueError(message)
        return classes

    @field_validator("reader")
    @classmethod
    def _reader_fits(cls, reader: Form, info: ValidationInfo) -> Form:
        if isinstance(reader, PhantomForm) and info.data.get("synthetic") is False:
            message = "phantom images are synthetic; write synthetic = true"
            raise ValueError(message)
        classes = info.data.get("classes")
        if isinstance(reader, FolderForm) and reader.folders and classes is not None:
            if len(reader.folders) != len(classes):
                message = f"{len(reader.folders)} folders for {len(classes)} classes"
                raise ValueError(message)
            if len(set(reader.folders)) != len(reader.folders):
                message = "two classes name the same folder"
                raise ValueError(message)
        if info.data.get("task") == "multi-label" and not isinstance(reader, MedMNISTForm):
            message = (
                f"the form {reader.form} gives one class per sample; multi-label needs medmnist"
            )
            raise ValueError(message)
        return reader

    @field_validator("source")
    @classmethod
    def _source_fits(cls, source: Source | None, info: ValidationInfo) -> Source | None:
        reader = info.data.get("reader")
        if reader is None:
            return source
        if isinstance(reader, PhantomForm) and source is not None:
            message = "phantom images have no source; remove it"
            raise ValueError(message)
        if not isinstance(reader, PhantomForm) and source is None:
            message = f"a {reader.form} dataset needs a source"
            raise ValueError(message)
        return source

    @field_validator("splits")
    @classmethod
    def _splits_fit(cls, splits: Splits | None, info: ValidationInfo) -> Splits | None:
        reader = info.data.get("reader")
        if splits is None and reader is not None and not isinstance(reader, FolderForm):
            message = f"a {reader.form} dataset declares its split counts"
            raise ValueError(message)
        if splits is not None and not splits.counts():
            message = "no split is declared; give at least one of train, val, test"
            raise ValueError(message)
        return splits

    @field_validator("prompts", "absent_prompts")
    @classmethod
    def _prompts_per_class(
        cls, prompts: dict[str, tuple[ClassText, ...]], info: ValidationInfo
    ) -> dict[str, tuple[ClassText, ...]]:
        classes = info.data.get("classes")
        faults = [
            f"{name} has {len(texts)} entries for {len(classes)} classes"
            for name, texts in prompts.items()
            if classes is not None and len(texts) != len(classes)
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return prompts

    @field_validator("absent_prompts")
    @classmethod
    def _absence_beside_presence(
        cls, absent: dict[str, tuple[ClassText, ...]], info: ValidationInfo
    ) -> dict[str, tuple[ClassText, ...]]:
        task, prompts = info.data.get("task"), info.data.get("prompts")
        if absent and task is not None and task != "multi-label":
            message = f"only a multi-label task says that a class is absent; this one is {task}"
            raise ValueError(message)
        if task == "multi-label" and prompts is not None and set(absent) != set(prompts):
            named = ", ".join(sorted(set(absent) ^ set(prompts)))
            message = f"a multi-label task needs the same names as prompts; they differ in: {named}"
            raise ValueError(message)
        return absent


class Dataset(_Declaration):
    """One concrete dataset: a single size and a single source."""

    family: Name
    """Id of the manifest it comes from; the same as `id` unless the manifest has variants."""
    size: Size
    """Side of the square images, or (height, width), pixels."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the images, pixels."""
        return shape_of(self.size)


class DatasetManifest(_Declaration):
    """A file in `manifests/datasets/`: one dataset, or one in several sizes."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this form of manifest; written `schema = 1`."""
    size: Size | None = None
    """Side of square images, or [height, width], pixels; left out where there are variants."""
    variants: tuple[Variant, ...] = Field(default=(), validate_default=True)
    """The sizes in which it is published, each a dataset named `<id>-<size>`."""

    @field_validator("variants")
    @classmethod
    def _one_size_or_several(
        cls, variants: tuple[Variant, ...], info: ValidationInfo
    ) -> tuple[Variant, ...]:
        faults = _variant_faults(variants, info) if variants else _single_faults(info)
        sizes = [info.data.get("size"), *(variant.size for variant in variants)]
        if isinstance(info.data.get("reader"), PhantomForm) and any(
            isinstance(size, tuple) for size in sizes
        ):
            faults.append("phantom images are square; give one side")
        if faults:
            raise ValueError("; ".join(faults))
        return variants


def expand(manifest: DatasetManifest) -> tuple[Dataset, ...]:
    """Return the concrete datasets of `manifest`, one per variant, in the order declared."""
    fields = {name: getattr(manifest, name) for name in _Declaration.model_fields}
    if not manifest.variants:
        return (Dataset(**fields | {"family": manifest.id, "size": manifest.size}),)
    return tuple(
        Dataset(**fields | _variant_fields(manifest, variant), family=manifest.id)
        for variant in manifest.variants
    )


def _variant_fields(manifest: DatasetManifest, variant: Variant) -> dict[str, object]:
    named = variant.model_dump(exclude={"size"})
    source = None if manifest.source is None else manifest.source.model_copy(update=named)
    return {"id": f"{manifest.id}-{name_of(variant.size)}", "size": variant.size, "source": source}


def _variant_faults(variants: tuple[Variant, ...], info: ValidationInfo) -> list[str]:
    faults = []
    if info.data.get("size") is not None:
        faults.append("give either size or variants, not both")
    for key in ("size", "file"):
        values = [getattr(variant, key) for variant in variants]
        if len(set(values)) != len(values):
            faults.append(f"two variants have the same {key}")
    source = info.data.get("source")
    if isinstance(source, FolderSource):
        faults.append("a folder has no variants")
    if isinstance(source, SingleFile) and (source.file or source.digests() or source.size_bytes):
        faults.append("file, digests and size_bytes belong to the variants, not to the source")
    return faults


def _single_faults(info: ValidationInfo) -> list[str]:
    faults = []
    if "size" in info.data and info.data["size"] is None:
        faults.append("give the image size, or variants")
    source = info.data.get("source")
    if isinstance(source, SingleFile) and not source.file:
        faults.append("the source names no file")
    return faults
