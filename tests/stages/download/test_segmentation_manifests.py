"""Manifests of segmentation datasets: what each must tell, published counts, names of files."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.manifest import read_manifest
from stages.download.segmenting.forms import FigshareForm, NiftiForm, PairsForm, PolygonsForm
from stages.download.segmenting.lists import names_in
from stages.download.segmenting.nifti import NiftiReader
from stages.download.segmenting.pairs import PairsReader
from stages.download.segmenting.polygons import PolygonsReader
from stages.download.segmenting.schema import SegmentationManifest, SplitSet, expand_segmentation
from stages.download.segmenting.tree import Tree
from stages.download.sources import UrlSource
from tests.stages.download.layouts import LAYOUTS, MEDCLIPSEG, NAMES, POUDEL

MANIFESTS = Path(__file__).parents[3] / "manifests" / "datasets"


def load(name: str) -> SegmentationManifest:
    return read_manifest(MANIFESTS / f"{name}.toml", SegmentationManifest)


def chosen(name: str, split_set: str) -> SplitSet:
    return next(each for each in load(name).split_sets if each.name == split_set)


def published(split_set: str) -> dict[str, tuple[int | None, ...]]:
    found: dict[str, tuple[int | None, ...]] = {}
    for name in NAMES:
        for each in load(name).split_sets:
            if each.name == split_set:
                found[name] = (each.train, each.val, each.test)
    return found


def lists_of(name: str) -> Iterator[UrlSource]:
    for each in load(name).split_sets:
        for split in ("train", "val", "test"):
            files = each.files.of(split) if each.files else ()
            yield from (one for one in files if isinstance(one, UrlSource))


def make_files(root: Path, paths: list[str]) -> Tree:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return Tree(root)


def test_every_segmentation_manifest_is_named_here() -> None:
    """The list of this file is that of the manifests whose task is segmentation."""
    found = {
        path.stem
        for path in MANIFESTS.glob("*.toml")
        if 'task = "segmentation"' in path.read_text(encoding="utf-8").splitlines()
    }
    assert found == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_tells_where_its_licence_was_read_and_how_to_get_it(name: str) -> None:
    """A manifest says its id, licence, where that was read, access, citation and split sets."""
    manifest = load(name)
    assert manifest.id == name
    assert len(manifest.licence.source) > 20
    assert manifest.access
    assert manifest.citation
    assert manifest.split_sets[0].name == "all"
    if "not stated" in manifest.licence.source:
        assert manifest.licence.spdx.startswith("LicenseRef-")
    if manifest.licence.spdx.startswith("LicenseRef-"):
        assert manifest.licence.redistribution == "recipes"


@pytest.mark.parametrize("name", NAMES)
def test_whoever_places_a_folder_is_told_what_it_holds(name: str) -> None:
    """A source that a person places has instructions, and a header that says what and where."""
    text = (MANIFESTS / f"{name}.toml").read_text(encoding="utf-8")
    header = text.split("schema = 1")[0]
    if load(name).source.kind == "folder":
        assert "# Place:" in header
        assert "# Where:" in header
        assert "folder" in load(name).source.model_dump()["instructions"]
    else:
        assert "# On disk:" in header


def test_ids_of_all_datasets_differ() -> None:
    """No two split sets of any manifests make a dataset of the same id."""
    ids = [each.id for name in NAMES for each in expand_segmentation(load(name))]
    others = {path.stem for path in MANIFESTS.glob("*.toml")} - set(NAMES)
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert not others & set(ids)


def test_splits_are_those_of_the_papers() -> None:
    """The split sets of both papers exist where they use a dataset, with these image counts."""
    assert published("poudel") == POUDEL
    assert published("medclipseg") == MEDCLIPSEG


def test_lists_that_repeat_names_say_rows_and_images() -> None:
    """BKAI's and ISIC's lists have a row more than images; radiology has a row per target."""
    assert chosen("bkai", "poudel").listed == {"train": 800}
    assert chosen("isic2016", "poudel").listed == {"train": 810}
    assert chosen("camus", "poudel").listed == {"train": 3 * 1600, "val": 3 * 200}
    assert chosen("chexlocalize", "poudel").listed == {"train": 1279, "val": 446, "test": 452}
    assert chosen("bkai", "medclipseg").listed == {}


def test_colondb_is_tested_whole_or_split() -> None:
    """Paper 003 tests on all 380 images, from two lists; MedCLIPSeg on 360 and trains on 20."""
    poudel, medclipseg = chosen("cvc-colondb", "poudel"), chosen("cvc-colondb", "medclipseg")
    assert poudel.counts() == {"test": 380}
    assert poudel.files is not None
    assert len(poudel.files.test) == 2
    assert medclipseg.counts() == {"train": 20, "test": 360}


def test_cvc_300_takes_no_list_of_colondb() -> None:
    """The files of medvlsm for CVC-300, which are those of ColonDB, are not used."""
    assert not [each for each in lists_of("cvc-300") if "medvlsm" in each.urls[0]]


def test_files_of_lists_differ_in_name_and_are_pinned_to_a_commit() -> None:
    """Each published list has a file name of its own and an address at a fixed commit."""
    found = [each for name in NAMES for each in lists_of(name)]
    assert [name for name, n in Counter(each.file for each in found).items() if n > 1] == []
    assert [url for url, n in Counter(each.urls for each in found).items() if n > 1] == []
    commits = {each.urls[0].split("/")[5] for each in found}
    assert commits == {
        "dc36a3af83035efa344c8ce26397528ad173569e",
        "8d7ef361701244e8b6f466c9f12d5240361d0827",
    }


def test_archives_of_all_datasets_differ_in_name() -> None:
    """No two sources that are fetched have the same file name."""
    files = []
    for name in NAMES:
        manifest = load(name)
        for source in (manifest.source, *manifest.further_sources):
            files += [source.file] if source.kind != "folder" else []
    assert len(set(files)) == len(files)


def test_every_form_of_pairs_has_a_layout_here() -> None:
    """Each dataset of paired files is tried below; the others have forms of their own."""
    forms = {name: type(load(name).reader) for name in NAMES}
    assert sorted(LAYOUTS) == sorted(name for name in NAMES if forms[name] is PairsForm)
    assert {name: forms[name] for name in NAMES if forms[name] is not PairsForm} == {
        "btmri": FigshareForm,
        "camus": NiftiForm,
        "chexlocalize": PolygonsForm,
    }


@pytest.mark.parametrize("name", LAYOUTS)
def test_files_in_the_documented_layout_are_paired(name: str, tmp_path: Path) -> None:
    """Images find their masks; published names and words are those the papers' files use."""
    manifest, layout = load(name), LAYOUTS[name]
    assert isinstance(manifest.reader, PairsForm)
    tree = make_files(tmp_path, [path for image, masks, *_ in layout for path in (image, *masks)])
    reader = PairsReader(manifest.reader, manifest.targets, tree)
    found = [
        (entry.path, list(entry.mask_paths), entry.listed_as or entry.stem, dict(entry.metadata))
        for entry in reader.entries
    ]
    assert found == sorted(layout)
    assert reader.strays == ()


@pytest.mark.parametrize(
    "name", [name for name in NAMES if any(each.folders for each in load(name).split_sets)]
)
def test_folders_of_split_sets_begin_paths_of_the_layout(name: str) -> None:
    """A split that folders tell has images in the documented layout."""
    starts = {
        split: beginnings
        for each in load(name).split_sets
        for split, beginnings in each.folders.items()
    }
    paths = [image for image, *_ in LAYOUTS.get(name, [])] or [
        "CheXpert/val/patient64541/study1/view1_frontal.jpg",
        "CheXpert/test/patient64741/study1/view1_frontal.jpg",
    ]
    for path in paths:
        assert [split for split, some in starts.items() if path.startswith(some)] != []


def test_frames_of_camus_are_images_but_not_sequences(tmp_path: Path) -> None:
    """Frames find their label maps, words come from their names; whole sequences are left."""
    manifest = load("camus")
    assert isinstance(manifest.reader, NiftiForm)
    start = "database_nifti/patient0001/patient0001_2CH"
    kinds = ("ED", "ED_gt", "ES", "ES_gt", "half_sequence", "half_sequence_gt")
    tree = make_files(tmp_path, [f"{start}_{kind}.nii.gz" for kind in kinds])
    entries = NiftiReader(manifest.reader, manifest.targets, tree).entries
    assert [(entry.stem, entry.mask_paths) for entry in entries] == [
        ("patient0001_2CH_ED", (f"{start}_ED_gt.nii.gz",)),
        ("patient0001_2CH_ES", (f"{start}_ES_gt.nii.gz",)),
    ]
    assert dict(entries[1].metadata) == {"view": "two-chamber", "cycle": "systole"}
    assert {entry.patient for entry in entries} == {"patient0001"}


def test_images_of_chexlocalize_are_named_as_in_its_files(tmp_path: Path) -> None:
    """Images of both parts that an annotation file names, with view and pathologies."""
    manifest = load("chexlocalize")
    assert isinstance(manifest.reader, PolygonsForm)
    paths = [
        "CheXpert/val/patient64541/study1/view1_frontal.jpg",
        "CheXpert/test/patient64741/study1/view2_lateral.jpg",
        "CheXpert/test/patient64742/study1/view1_frontal.jpg",
    ]
    tree = make_files(tmp_path, [*paths, *manifest.reader.annotations, *manifest.reader.labels])
    keys = ("patient64541_study1_view1_frontal", "patient64741_study1_view2_lateral")
    for file, key in zip(manifest.reader.annotations, keys, strict=True):
        tree.at(file).write_text(json.dumps({key: {}}), encoding="utf-8")
    columns = "Path,Sex,Lung Opacity,Edema\n"
    for file, path in zip(manifest.reader.labels, paths, strict=False):
        tree.at(file).write_text(f"{columns}CheXpert-v1.0/{path},Male,1.0,0.0\n")
    entries = PolygonsReader(manifest.reader, manifest.targets, tree).entries
    assert {entry.listed_as: dict(entry.metadata) for entry in entries} == {
        keys[0]: {"view": "frontal", "pathology": "Lung Opacity"},
        keys[1]: {"view": "lateral", "pathology": "Lung Opacity"},
    }
    assert len(manifest.targets) == 10


PUBLISHED = {
    ("busi", "poudel"): "medvlsm/busi/test.json",
    ("chexlocalize", "poudel"): "medvlsm/chexlocalize/test.json",
    ("isic2016", "poudel"): "medvlsm/isic/test.json",
    ("kvasir", "poudel"): "medvlsm/kvasir_polyp/test.json",
    ("busi", "medclipseg"): "medclipseg/BUSI/Test_text_original.xlsx",
    ("cvc-300", "medclipseg"): "medclipseg/CVC300/Test_text_original.xlsx",
    ("cvc-colondb", "medclipseg"): "medclipseg/ColonDB/Test_text_original.xlsx",
    ("kvasir", "medclipseg"): "medclipseg/Kvasir/Test_text_original.xlsx",
}


@pytest.mark.parametrize(("name", "split_set"), PUBLISHED)
def test_published_lists_have_the_declared_counts(name: str, split_set: str) -> None:
    """The lists of test that are at hand have as many rows and images as the manifests say."""
    root = Path(__file__).parents[4]
    data = Path(os.environ.get("MEDSHARDS_TEST_DATA", root / "shared" / "data"))
    path = data / "prompts" / PUBLISHED[name, split_set]
    if not path.is_file():
        pytest.skip(f"the published prompts are not at {path}; set MEDSHARDS_TEST_DATA")
    declared = chosen(name, split_set)
    assert declared.files is not None
    names = names_in(path, declared.files.form)
    assert len(set(names)) == declared.test
    assert len(names) == declared.listed.get("test", declared.test)
    if name == "busi":
        assert all(each.split("_")[1] in {"benign", "malignant", "normal"} for each in names)


def test_only_of_a_folder_images_may_be_left_to_count(tmp_path: Path) -> None:
    """A dataset that is fetched says the images of each split, not the rows of its list alone."""
    text = (MANIFESTS / "bkai.toml").read_text(encoding="utf-8")
    changed = text.replace("train = 799\nval = 100", "val = 100", 1)
    assert changed != text
    path = tmp_path / "bkai.toml"
    path.write_text(changed, encoding="utf-8")
    poudel = read_manifest(path, SegmentationManifest).split_sets[1]
    assert poudel.counts() == {"train": None, "val": 100, "test": 100}
    text = (MANIFESTS / "isic2016.toml").read_text(encoding="utf-8")
    path = tmp_path / "isic2016.toml"
    path.write_text(text.replace("train = 809\nval = 90", "val = 90", 1), encoding="utf-8")
    with pytest.raises(UsageError, match="split set poudel: give the number of images of train"):
        read_manifest(path, SegmentationManifest)
