"""Folders of pictures, by split and class or with a table."""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DataError
from stages.download.readers import open_split, reader_of
from stages.download.readers.pictures import decode
from stages.download.schema import Dataset
from tests.stages.download.reader_contract import COUNTS, Declare, WrittenPixels, pixels

FOLDER = '{form = "folder"}'


class TestFolderOfSplits(WrittenPixels):
    """PNG files in <split>/<class>/, sorted by path."""

    channels = 3
    in_order = False

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write the pictures of each class into its own folder."""
        start = 0
        for split, count in COUNTS.items():
            for row, image in enumerate(pixels(count, 3, start)):
                # "bright" sorts before "dark"; the prefixes keep the order of the labels.
                path = folder / split / ("a-dark", "b-bright")[row % 2] / f"{row:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
            start += count
        return declare(
            reader='{form = "folder", folders = ["a-dark", "b-bright"], fit = "exact"}',
            channels="3",
        )

    def test_ids_are_the_paths(self, dataset: Dataset, tmp_path: Path) -> None:
        """A sample is named by its path below the folder."""
        opened = open_split(dataset, tmp_path / "files", "val")
        assert opened.ids == ("val/a-dark/000.png", "val/b-bright/001.png")


class TestFolderWithSplitsFile(WrittenPixels):
    """PNG files in <class>/ and a table of splits, below a folder of the archive."""

    in_order = False

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write the pictures by class and their splits into a CSV."""
        lines = ["path,split"]
        start = 0
        for split, count in COUNTS.items():
            for row, image in enumerate(pixels(count, 1, start)):
                name = f"{('a', 'b')[row % 2]}/{split}-{row}.png"
                (folder / "top" / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[..., 0]).save(folder / "top" / name)
                lines.append(f"{name},{split}")
            start += count
        (folder / "top" / "splits.csv").write_text("\n".join(lines))
        return declare(
            reader='{form = "folder", folders = ["a", "b"], root = "top", '
            'splits_file = "splits.csv"}'
        )

    def test_the_table_and_the_pictures_must_match(self, dataset: Dataset, tmp_path: Path) -> None:
        """An unlisted picture, a listed one that is absent and an odd split are refused."""
        table = tmp_path / "files" / "top" / "splits.csv"
        text = table.read_text()
        for changed, message in (
            (text.replace("a/val-0.png,val\n", ""), "a/val-0.png is not in splits.csv"),
            (f"{text}\na/more.png,val", "a/more.png is not there"),
            (text.replace(",val", ",valid"), "'valid' is not a split; did you mean 'val'"),
            (f"{text}\na/val-0.png,val", "comes twice"),
            (text.replace("path,split", "file,part"), "needs the columns path and split"),
        ):
            table.write_text(changed)
            with pytest.raises(DataError, match=message):
                reader_of(dataset, tmp_path / "files")


def one_picture(tmp_path: Path, name: str = "a.png") -> Path:
    """Return the path of the only picture of a folder dataset, in the class dark."""
    path = tmp_path / "files" / "test" / "dark" / name
    path.parent.mkdir(parents=True)
    return path


def read_one(declare: Declare, tmp_path: Path, **lines: str | None) -> NDArray[np.uint8]:
    """Return the only picture."""
    dataset = declare(**({"reader": FOLDER, "splits": None} | lines))
    picture: NDArray[np.uint8] = open_split(dataset, tmp_path / "files", "test").images(0, 1)[0]
    return picture


def test_other_sizes_are_cut_and_resized(declare: Declare, tmp_path: Path) -> None:
    """The central square is resized by Pillow's bicubic filter; "exact" refuses instead."""
    image = Image.fromarray(pixels(6, 1).reshape(16, 24))
    image.save(one_picture(tmp_path))
    expected = image.crop((4, 0, 20, 16)).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(read_one(declare, tmp_path)[..., 0], np.array(expected))
    with pytest.raises(DataError, match="is 24×16 pixels, not 8×8"):
        read_one(declare, tmp_path, reader='{form = "folder", fit = "exact"}')


@given(
    declared=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    stored=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_picture_is_cut_to_the_declared_aspect_ratio(
    declared: tuple[int, int], stored: tuple[int, int]
) -> None:
    """The part that is resized has the full width or height, is central, and is in proportion."""
    height, width = declared
    gray = np.random.default_rng([*declared, *stored]).integers(0, 256, stored, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        Image.fromarray(gray).save(path)
        found = decode(path, 1, declared, crop=True)
        refused = pytest.raises(DataError, match=f"not {width}×{height}")
        with contextlib.nullcontext() if stored == declared else refused:
            decode(path, 1, declared, crop=False)
    assert found.shape == (height, width, 1)
    wide = min(stored[1], max(1, math.floor(stored[0] * width / height + 0.5)))
    high = min(stored[0], max(1, math.floor(stored[1] * height / width + 0.5)))
    top, left = (stored[0] - high) // 2, (stored[1] - wide) // 2
    part = Image.fromarray(gray[top : top + high, left : left + wide])
    expected = part.resize((width, height), Image.Resampling.BICUBIC)
    assert np.array_equal(found[..., 0], np.array(expected))


def test_a_height_and_a_width_are_read_as_such(declare: Declare, tmp_path: Path) -> None:
    """Pictures of a road scene's shape: taken whole, cut at the sides, and cut above and below."""
    road = np.random.default_rng(1).integers(0, 256, (16, 32, 1), dtype=np.uint8)
    path = one_picture(tmp_path)
    Image.fromarray(road[..., 0]).save(path)
    assert np.array_equal(read_one(declare, tmp_path, size="[16, 32]"), road)
    exact = {"reader": '{form = "folder", fit = "exact"}', "size": "[32, 16]"}
    with pytest.raises(DataError, match="is 32×16 pixels, not 16×32"):
        read_one(declare, tmp_path, **exact)
    for padding in (((0, 0), (4, 4)), ((4, 4), (0, 0))):
        Image.fromarray(np.pad(road[..., 0], padding)).save(path)
        assert np.array_equal(read_one(declare, tmp_path, size="[16, 32]"), road)


def test_orientation_tags_are_not_applied(declare: Declare, tmp_path: Path) -> None:
    """Pixels are taken as stored, whatever the EXIF orientation says."""
    image = pixels(1, 1)[0, ..., 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(one_picture(tmp_path), exif=exif)
    assert np.array_equal(read_one(declare, tmp_path)[..., 0], image)


def test_channels_change_only_without_loss(declare: Declare, tmp_path: Path) -> None:
    """Gray is replicated to three; equal channels become one; colour does not."""
    gray = pixels(1, 1)[0]
    path = one_picture(tmp_path)
    Image.fromarray(gray[..., 0]).save(path)
    assert np.array_equal(read_one(declare, tmp_path, channels="3"), np.repeat(gray, 3, 2))
    Image.fromarray(np.repeat(gray, 3, 2)).save(path)
    assert np.array_equal(read_one(declare, tmp_path), gray)
    Image.fromarray(pixels(1, 3)[0]).save(path)
    with pytest.raises(DataError, match="is coloured, but the manifest declares 1 channel"):
        read_one(declare, tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_sixteen_bits_are_refused_with_the_remedy(
    name: str, declare: Declare, tmp_path: Path
) -> None:
    """A 16-bit picture is never scaled silently."""
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(one_picture(tmp_path, name))
    with pytest.raises(DataError, match="more than 8 bits .*save 8 bits"):
        read_one(declare, tmp_path)


def test_sixteen_bit_colour_is_refused(declare: Declare, tmp_path: Path) -> None:
    """A 16-bit colour PNG, whose low bytes the decoder would drop, is refused too."""
    import cv2

    path = one_picture(tmp_path)
    path.write_bytes(cv2.imencode(".png", np.full((8, 8, 3), 40_001, np.uint16))[1].tobytes())
    with pytest.raises(DataError, match="more than 8 bits"):
        read_one(declare, tmp_path, channels="3")


def test_transparency_pages_and_colour_spaces_are_refused(declare: Declare, tmp_path: Path) -> None:
    """What has no single meaning as gray or RGB is refused; an opaque alpha is dropped."""
    image = np.full((8, 8, 4), 255, np.uint8)
    path = one_picture(tmp_path, "a.tiff")
    Image.fromarray(image).save(path)
    assert (read_one(declare, tmp_path) == 255).all()
    image[0, 0, 3] = 9
    Image.fromarray(image).save(path)
    with pytest.raises(DataError, match="transparent"):
        read_one(declare, tmp_path)
    Image.fromarray(image).convert("CMYK").save(path)
    with pytest.raises(DataError, match="colour space CMYK"):
        read_one(declare, tmp_path)
    page = Image.fromarray(image[..., 0])
    page.save(path, save_all=True, append_images=[page])
    with pytest.raises(DataError, match="has 2 pages"):
        read_one(declare, tmp_path)


def test_a_damaged_picture_is_named(declare: Declare, tmp_path: Path) -> None:
    """A truncated or foreign file is one clear line with its path."""
    path = one_picture(tmp_path)
    Image.fromarray(pixels(4, 1).reshape(16, 16)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        read_one(declare, tmp_path)
    path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        read_one(declare, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests/dark/a.png", "'tests' is not a split; did you mean 'test'"),
        ("test/drak/a.png", "'drak' is not a class; did you mean 'dark'"),
        ("test/a.png", "its folder is not a class"),
        ("test/dark/a.bmp", "is not a picture of a known kind"),
    ],
)
def test_nothing_in_a_folder_is_left_out_silently(
    name: str, message: str, declare: Declare, tmp_path: Path
) -> None:
    """A stray folder or file is named instead of being skipped."""
    for path in (tmp_path / "files" / name, tmp_path / "files/test/dark/.hidden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    with pytest.raises(DataError, match=message):
        reader_of(declare(reader=FOLDER, splits=None), tmp_path / "files")


def test_folder_counts_are_asserted_when_declared(declare: Declare, tmp_path: Path) -> None:
    """A folder dataset may declare its counts, and then they hold."""
    Image.fromarray(pixels(1, 1)[0, ..., 0]).save(one_picture(tmp_path))
    with pytest.raises(DataError, match="the manifest says 4 samples, the source has 1"):
        open_split(declare(reader=FOLDER), tmp_path / "files", "test")
    with pytest.raises(DataError, match="the split is empty"):
        open_split(declare(reader=FOLDER), tmp_path / "files", "train")
