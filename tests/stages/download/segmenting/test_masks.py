"""Mask files of every kind: what becomes foreground, and what is found unclean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pipeline.errors import DataError
from stages.download.segmenting.masks import read_mask
from stages.download.segmenting.meanings import Layer, colour_layers, label_layers, layer_of, merged
from stages.download.segmenting.targets import Target
from tests.stages.download.segmenting.building import blob, photograph, save

POLYP = Target(name="polyp", noun="polyp")
RED_GREEN = Target(name="polyp", noun="polyp", colours=((255, 0, 0), (0, 255, 0)))


def layer(path: Path, meaning: Any = "binary", target: Target = POLYP) -> Layer:
    return layer_of(path.name, read_mask(path), meaning, target)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_clean_binary_mask_is_itself(mode: str, suffix: str, tmp_path: Path) -> None:
    """In every lossless kind of file that holds it."""
    path = tmp_path / f"mask{suffix}"
    Image.fromarray(blob()).convert(mode).save(path)
    found = layer(path)
    assert np.array_equal(found.mask, blob())
    assert (found.levels, found.fringe, found.source, found.instances) == (2, 0, None, None)
    assert set(found.findings) <= {"palette"}


@pytest.mark.parametrize("value", [1, 2, 76, 128, 254])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "int16", "uint32", "float32"])
def test_two_values_need_no_threshold(value: int, dtype: str, tmp_path: Path) -> None:
    """Foreground is what is not 0; the odd value is found.

    The gray levels are kept only where they reach the threshold: what the published scripts see.
    """
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, (blob() > 0).astype(dtype) * np.array(value, dtype))
    found = layer(path)
    assert np.array_equal(found.mask, blob())
    assert found.findings == ("values",)
    assert (found.source is not None) == (dtype == "uint8" and value >= 128)
    if found.source is not None:
        assert set(np.unique(found.source)) == {0, value}


def test_jpeg_fringe_is_cut_and_counted(tmp_path: Path) -> None:
    """Noise of compression is cut at 128 and kept as read beside the mask."""
    path = save(tmp_path / "mask.jpg", np.repeat(blob(64, 80)[..., None], 3, 2), quality=60)
    found = layer(path)
    gray = np.array(Image.open(path).convert("L"))
    assert np.array_equal(found.mask, np.where(gray >= 128, 255, 0))
    assert found.source is not None
    assert np.array_equal(found.source, gray)
    assert found.fringe == np.isin(gray, (0, 255), invert=True).sum() > 0
    assert found.levels == np.unique(gray).size
    assert found.findings == ("jpeg-fringe",)


def test_opaque_alpha_is_dropped(tmp_path: Path) -> None:
    """An RGBA mask that is opaque everywhere does not become foreground everywhere."""
    for name, planes in {"rgba": 3, "la": 1}.items():
        opaque = np.dstack([np.repeat(blob()[..., None], planes, 2), np.full((12, 16), 255, "u1")])
        found = layer(save(tmp_path / f"{name}.png", opaque))
        assert np.array_equal(found.mask, blob())
        assert found.findings == ("alpha",)


def test_alpha_over_black_is_dropped(tmp_path: Path) -> None:
    """Transparent pixels that are black are background with or without their transparency."""
    cut = np.dstack([blob(), blob(), blob(), blob()])
    assert np.array_equal(layer(save(tmp_path / "cut.png", cut)).mask, blob())


@pytest.mark.parametrize("colour", [0, 255])
def test_a_mask_in_the_alpha_channel_is_refused(colour: int, tmp_path: Path) -> None:
    """Where only transparency varies, nobody can say what is foreground."""
    flat = np.full((12, 16), colour, np.uint8)
    path = save(tmp_path / "mask.png", np.dstack([flat, flat, flat, blob()]))
    with pytest.raises(DataError, match="only its transparency varies"):
        read_mask(path)


def test_transparent_white_is_refused(tmp_path: Path) -> None:
    """Transparency that would change the answer is refused."""
    other = np.dstack([blob(), blob(), blob(), 255 - blob()])
    with pytest.raises(DataError, match="transparent pixels that are not black"):
        read_mask(save(tmp_path / "mask.png", other))


def test_a_transparent_palette_is_refused(tmp_path: Path) -> None:
    """A GIF whose background is a transparent white."""
    picture = Image.fromarray((blob() > 0).astype(np.uint8), mode=None).convert("P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    path = tmp_path / "mask.png"
    picture.save(path, transparency=0)
    with pytest.raises(DataError, match="transparent pixels that are not black"):
        read_mask(path)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "int16"])
def test_numbered_objects_are_no_binary_mask(dtype: str, tmp_path: Path) -> None:
    """More than 8 bits and many values: the message says how to declare it."""
    numbers = (blob() > 0).astype(dtype)
    numbers[8:, 8:] = 2
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, numbers)
    with pytest.raises(DataError, match='declare meaning = "instances"'):
        layer(path)
    found = layer(path, "instances")
    assert found.instances is not None
    assert found.instances.dtype == np.uint16
    assert np.array_equal(found.instances, numbers)
    assert np.array_equal(found.mask, np.where(numbers > 0, 255, 0))
    assert found.levels == 3


def test_eight_bit_labels_are_no_binary_mask(tmp_path: Path) -> None:
    """No value reaches the threshold: an empty mask would be a wrong sentence."""
    labels = (blob() // 255) + (blob(left=9) // 255) * 2
    path = save(tmp_path / "mask.png", labels.astype(np.uint8))
    with pytest.raises(DataError, match=r"no value reaches the threshold 128 \(values 0, 1, 2\)"):
        layer(path)


def test_a_photograph_is_no_binary_mask(tmp_path: Path) -> None:
    """Images and masks that are mixed up are noticed."""
    gray = photograph(64, 80)[..., 1]
    with pytest.raises(DataError, match="if it is a photograph, images and masks are mixed up"):
        layer(save(tmp_path / "mask.png", gray // 2 + 60))


def test_a_coloured_binary_mask_keeps_pure_red(tmp_path: Path) -> None:
    """Red has a gray value of 76, green of 150; both are bright in one channel."""
    colours = np.zeros((12, 16, 3), np.uint8)
    colours[2:6, 3:8] = (255, 0, 0)
    colours[8:, 10:] = (0, 255, 0)
    found = layer(save(tmp_path / "mask.png", colours))
    assert np.array_equal(found.mask > 0, colours.any(axis=2))
    assert found.findings == ("colour",)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_colours_survive_compression(suffix: str, tmp_path: Path) -> None:
    """Every pixel belongs to the nearest declared colour; red and green are one target."""
    colours = np.zeros((64, 80, 3), np.uint8)
    colours[16:32, 16:48] = (255, 0, 0)
    colours[40:56, 48:72] = (0, 255, 0)
    options = {"quality": 95} if suffix != ".png" else {}
    path = save(tmp_path / f"mask{suffix}", colours, **options)
    found = layer(path, "colours", RED_GREEN)
    wrong = (found.mask > 0) != colours.any(axis=2)
    assert wrong.sum() <= (0 if suffix == ".png" else 64)
    assert found.findings == (() if suffix == ".png" else ("jpeg-fringe",))
    assert (found.levels == 3) == (suffix == ".png")
    apart = [
        Target(name="red", noun="red", colours=((255, 0, 0),)),
        Target(name="green", noun="green", colours=((0, 255, 0),)),
    ]
    red, green = colour_layers("mask", read_mask(path), apart)
    assert not (red.mask & green.mask).any()
    assert np.array_equal(red.mask | green.mask, found.mask)


def test_undeclared_labels_are_found(tmp_path: Path) -> None:
    """They are background, with a finding and their number of pixels."""
    labels = blob() // 255
    labels[0, :3] = 9
    path = save(tmp_path / "mask.png", labels)
    targets = [
        Target(name="one", noun="one", values=(1,)),
        Target(name="two", noun="two", values=(2, 3)),
    ]
    one, two = label_layers("mask", read_mask(path), targets)
    assert np.array_equal(one.mask, np.where(labels == 1, 255, 0))
    assert not two.mask.any()
    assert (one.findings, one.fringe, one.levels) == (("values",), 3, 3)


def test_labels_of_a_palette_file_are_its_numbers(tmp_path: Path) -> None:
    """Not its colours."""
    picture = Image.fromarray(blob() // 255).convert("P")
    picture.putpalette([10, 20, 30, 200, 0, 0])
    path = tmp_path / "mask.png"
    picture.save(path)
    found = layer(path, "labels", Target(name="one", noun="one", values=(1,)))
    assert np.array_equal(found.mask, blob())
    assert "palette" in found.findings


@pytest.mark.parametrize(
    ("meaning", "message"),
    [("labels", "labels are lost in JPEG"), ("instances", "numbers of objects are lost")],
)
def test_numbers_in_a_jpeg_are_refused(meaning: str, message: str, tmp_path: Path) -> None:
    """Compression changes them."""
    path = save(tmp_path / "mask.jpg", (blob(64, 80) // 255) * 7, quality=50)
    with pytest.raises(DataError, match=message):
        layer(path, meaning, Target(name="one", noun="one", values=(7,)))


@pytest.mark.parametrize("meaning", ["labels", "instances"])
def test_coloured_numbers_are_refused(meaning: str, tmp_path: Path) -> None:
    """Channels that differ by one level are two numbers, not one."""
    colours = np.repeat((blob() // 255)[..., None], 3, 2)
    colours[3, 4] = (1, 2, 1)
    with pytest.raises(DataError, match="is coloured"):
        layer(save(tmp_path / "mask.png", colours), meaning)


@pytest.mark.parametrize(
    ("mask", "finding"),
    [
        (np.full((12, 16), 255, np.uint8), "full"),
        (255 - blob(), "inverted"),
        (blob(), ""),
        (np.zeros((12, 16), np.uint8), ""),
    ],
)
def test_the_whole_mask_is_looked_at(mask: Any, finding: str, tmp_path: Path) -> None:
    """All foreground is kept, and found; so is a mask that seems inverted."""
    found = layer(save(tmp_path / "mask.png", mask))
    assert np.array_equal(found.mask, mask)
    assert found.findings == ((finding,) if finding else ())


def test_several_files_become_one_layer(tmp_path: Path) -> None:
    """Their union; objects are numbered on."""
    first = layer(save(tmp_path / "1.png", blob() // 255), "instances")
    second = layer(save(tmp_path / "2.png", blob(left=10) // 255 * 3), "instances")
    both = merged([first, second])
    assert both.instances is not None
    assert np.unique(both.instances).tolist() == [0, 1, 4]
    assert np.array_equal(both.mask, first.mask | second.mask)
    assert both.findings == ("merged",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be decoded"),
        (b"not a picture", "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "cannot be decoded"),
    ],
)
@pytest.mark.parametrize("name", ["mask.png", "mask.tif"])
def test_unreadable_files_are_refused(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    """With the path and no traceback of a decoder."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_mask(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Several pages, colours of 16 bits, fractions, other colour spaces."""
    pages = [Image.fromarray(blob()), Image.fromarray(blob())]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    tifffile.imwrite(tmp_path / "fractions.tif", np.full((4, 4), 0.5, np.float32))
    tifffile.imwrite(tmp_path / "wide.tif", np.zeros((4, 4, 3), np.uint16), photometric="rgb")
    Image.fromarray(blob()).convert("CMYK").save(tmp_path / "space.tif")
    for name, message in {
        "pages.tif": "has 2 pages",
        "fractions.tif": "its values have fractions",
        "wide.tif": "colours of 16 bits|cannot be decoded",
        "space.tif": "colour space CMYK",
    }.items():
        with pytest.raises(DataError, match=message):
            read_mask(tmp_path / name)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
    value=st.integers(1, 255),
    mode=st.sampled_from(["L", "RGB", "RGBA", "LA", "P", "1"]),
)
def test_however_it_is_saved_it_is_the_same_mask(
    chosen: Any, value: int, mode: str, tmp_path: Path
) -> None:
    """Any binary mask, any foreground value, any kind of PNG: one layer of 0 and 255."""
    drawn = Image.fromarray(chosen.astype(np.uint8) * np.uint8(255 if mode == "1" else value))
    path = tmp_path / "any.png"
    drawn.convert(mode).save(path)
    found = layer(path)
    assert found.mask.dtype == np.uint8
    assert np.array_equal(found.mask, np.where(chosen, 255, 0))
    assert found.levels == len(np.unique(chosen))
    assert ("full" in found.findings) == chosen.all()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=hnp.arrays(
        np.uint16,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 65535),
    )
)
def test_numbers_of_objects_are_kept(numbers: Any, tmp_path: Path) -> None:
    """Whatever 16-bit numbers a file has are the instances, and not 0 is the mask."""
    path = tmp_path / "any.png"
    Image.fromarray(numbers).save(path)
    found = layer(path, "instances")
    assert found.instances is not None
    assert np.array_equal(found.instances, numbers)
    assert np.array_equal(found.mask > 0, numbers > 0)
