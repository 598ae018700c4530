"""Batches of one shape, made while others are computed, on a device that may lack memory."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from stages.embed.batches import FixedBatches
from stages.embed.loaded import LoadedOnce
from stages.embed.loaders import loader
from stages.embed.processor import compute_threads, cores
from stages.embed.testing import TEXTS, generated_images
from tests.stages.embed.tiny import declare_clip

CPU = torch.device("cpu")
WIDTH = 3


def rows(count: int) -> torch.Tensor:
    """Return `count` different inputs of two numbers."""
    return torch.arange(2.0 * count).reshape(count, 2)


def product(batch: torch.Tensor) -> torch.Tensor:
    """Return a linear map of rows."""
    return batch @ torch.arange(6.0).reshape(2, WIDTH)


def short_of_memory(most: int, sizes: list[int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return `product` on a device that holds `most` rows; `sizes` gets those that it was given."""

    def forward(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        if len(batch) > most:
            message = "CUDA out of memory."
            raise torch.cuda.OutOfMemoryError(message)
        return product(batch)

    return forward


@given(count=st.integers(0, 40), size=st.integers(1, 16), most=st.integers(1, 16))
def test_any_size_gives_the_same_rows(count: int, size: int, most: int):
    """Whatever fits into memory, every row is computed, in order, in batches of one shape."""
    sizes: list[int] = []
    batches = FixedBatches(CPU, size)
    inputs = rows(count)
    logging.disable(logging.WARNING)
    found = batches.run(short_of_memory(most, sizes), inputs.__getitem__, count, WIDTH)
    logging.disable(logging.NOTSET)
    np.testing.assert_array_equal(found, product(inputs).numpy())
    assert batches.size == (size if not count else max(s for s in sizes if s <= most))
    assert set(sizes) <= {size >> times for times in range(5)}
    failed = [number for number in sizes if number > most]
    assert len(failed) == len(set(failed))


def test_what_fits_is_said_and_remembered(caplog: pytest.LogCaptureFixture):
    """Each halving is told with the option that avoids it, and later runs begin with what fits."""
    sizes: list[int] = []
    batches = FixedBatches(CPU, 8)
    for _ in range(2):
        batches.run(short_of_memory(2, sizes), rows(5).__getitem__, 5, WIDTH)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    assert [record.args[1:3] for record in caplog.records] == [(8, 4), (4, 2)]
    assert "--batch-size 2" in caplog.messages[-1]


def test_a_single_row_without_memory():
    """Where not even one row fits the error is the device's own."""
    with pytest.raises(torch.cuda.OutOfMemoryError):
        FixedBatches(CPU, 4).run(short_of_memory(0, []), rows(3).__getitem__, 3, WIDTH)


def test_an_encoder_survives_too_little_memory(clip_folder: Path):
    """Images and texts are embedded equally after an out-of-memory error of the model."""
    images = generated_images(11, 40, 48, 3)
    usual, short = (
        loader("open_clip").load(declare_clip(), clip_folder, device="cpu", batch_size=8)
        for _ in range(2)
    )
    failed: list[int] = []

    def refuse(_module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        if len(given[0]) > 3:
            failed.append(len(given[0]))
            message = "CUDA out of memory."
            raise torch.cuda.OutOfMemoryError(message)

    model = short.embed.__self__
    model.visual.register_forward_pre_hook(refuse)
    model.token_embedding.register_forward_pre_hook(refuse)
    np.testing.assert_allclose(
        short.encode_images(images), usual.encode_images(images), rtol=0, atol=1e-5
    )
    texts = list(TEXTS) * 3
    np.testing.assert_allclose(
        short.text.encode_texts(texts), usual.text.encode_texts(texts), rtol=0, atol=1e-5
    )
    assert failed == [8, 4, 8, 4]


def test_another_width_is_refused():
    """What has not the declared width is refused instead of being spread over it."""
    with pytest.raises(DataError, match="not of the 1 components"):
        FixedBatches(CPU, 4).run(product, rows(3).__getitem__, 3, 1)


def test_inputs_are_made_ahead_in_order_and_not_all_at_once():
    """They are asked for slice by slice by one thread, at most three beyond what was computed."""
    made: list[slice] = []
    computed: list[int] = []

    def inputs(part: slice) -> torch.Tensor:
        made.append(part)
        return rows(40)[part]

    def forward(batch: torch.Tensor) -> torch.Tensor:
        computed.append(len(made))
        return product(batch)

    FixedBatches(CPU, 2).run(forward, inputs, 40, WIDTH)
    assert made == [slice(start, start + 2) for start in range(0, 40, 2)]
    assert all(ahead <= done + 4 for done, ahead in enumerate(computed))


def test_units_on_a_processor_take_turns():
    """A learned model on the CPU embeds one unit at a time; a formula any number."""
    assert LoadedOnce(declare_clip(), None, "cpu").at_once is False


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/cpu.max": "max 100000"}, 8),
        ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/cpu.max": "250000 100000"}, 3),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        (
            {
                "proc/self/cgroup": "0::/job/step",
                "sys/fs/cgroup/job/cpu.max": "200000 100000",
                "sys/fs/cgroup/job/step/cpu.max": "max 100000",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job\n2:memory:/job",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "600000",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
            },
            6,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000",
            },
            8,
        ),
    ],
)
def test_cores_of_a_container(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They are those that affinity allows, or what the control groups' quota is worth."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    assert cores(tmp_path) == expected


def test_threads_are_of_physical_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Processors that share a core count once, if the process may use either of them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 6}, raising=False)
    for number in range(8):
        place = tmp_path / f"sys/devices/system/cpu/cpu{number}/topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(f"{number % 4},{number % 4 + 4}\n")
    assert cores(tmp_path) == 4
    assert compute_threads(tmp_path) == 3


@pytest.mark.parametrize(("ours", "asked", "expected"), [("", None, 2), ("", 1, 1), ("3", 3, 3)])
def test_threads_of_a_model_on_the_processor(
    ours: str,
    asked: int | None,
    expected: int,
    clip_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Torch computes on as many threads as help, or fewer if it was told so before."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if ours:
        monkeypatch.setenv("OMP_NUM_THREADS", ours)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(asked or 4)
        LoadedOnce(declare_clip(), clip_folder, "cpu").get()
        assert torch.get_num_threads() == min(expected, asked or compute_threads())
    finally:
        torch.set_num_threads(before)
