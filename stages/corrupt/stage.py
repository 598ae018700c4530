"""Renders one set: a clean split under one corruption at one severity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pipeline.artifact import Artifact
from pipeline.digest import Json
from pipeline.recipe import Recipe
from pipeline.shards import rows_per_shard
from pipeline.unit import Node, Unit, UnitWriter
from stages.corrupt.single_images import NATIVE, Drawn
from stages.vocabulary import CORRUPTIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.recompute import Again
    from pipeline.stream import Stream
    from stages.corrupt.kernels.kernel import Image, Kernel
    from stages.corrupt.masks import Masks
    from stages.corrupt.naming import Backend
    from stages.corrupt.schema import CorruptionDeclaration, SuiteManifest

VERSION = 1
SAMPLE_COLUMNS = ("id", "label", "labels", "patient_id", "original_filepath")
"""Columns of the clean split's index that a set repeats, where the split has them."""


_BYTES_AT_ONCE = 8 << 20
"""Of clean images are in memory at once, however large a shard is."""


class Render:
    """Renders the rows of a unit one by one; each depends on its own identity alone."""

    parallel = True

    def __init__(
        self,
        suite: SuiteManifest,
        corruption: CorruptionDeclaration,
        severity: int,
        backend: Backend,
        device: str,
    ) -> None:
        self._suite = suite
        self._corruption = corruption
        self._severity = severity
        self._backend = backend
        self._device = device

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Render the unit's images; keep the drawn parameters as columns of the index."""
        clean = inputs["images"]
        if "images" in clean.manifest.mixed:
            self._run_mixed(unit, clean, writer)
        else:
            self._run_equal(unit, clean, writer)

    def _run_equal(self, unit: Unit, clean: Artifact, writer: UnitWriter) -> None:
        from stages.corrupt.rendering import render_rows, rendered_shape  # numba

        images = clean.array("images")
        index = clean.index(None, unit.start, unit.stop)
        index = index.select([name for name in SAMPLE_COLUMNS if name in index.column_names])
        ids = index["id"].to_pylist()
        height, width, channels = images.shape[1:]
        shape = rendered_shape((height, width, channels), self._suite)
        rendered = writer.array("images", "uint8", shape)
        streams = [self._stream(sample, unit.recipe.parameters) for sample in ids]
        drawn = []
        at_once = max(1, _BYTES_AT_ONCE // math.prod(shape))
        memory = np.empty((min(at_once, len(ids)), *images.shape[1:]), np.uint8)
        for start in range(0, len(ids), at_once):
            rows = slice(start, min(start + at_once, len(ids)))
            clean_images = memory[: rows.stop - start]
            images.read_into(unit.start + start, clean_images)
            drawn += render_rows(
                clean_images,
                self._corruption,
                self._severity,
                self._suite,
                streams[rows],
                rendered[rows],
                self._kernel,
            )
        writer.table(_with_drawn(index, drawn, drawn[0]))

    def _run_mixed(self, unit: Unit, clean: Artifact, writer: UnitWriter) -> None:
        from stages.corrupt.single_images import render_mixed

        parameters = unit.recipe.parameters
        made_by = partial(self._rendered, parameters=parameters), self._move(clean)
        index, drawn = render_mixed(unit, clean, writer, *made_by)
        side = self._kernel.smallest_side
        values = self._corruption.severities[self._severity - 1]
        # The columns are the same where nothing could be rendered.
        any_drawn = self._kernel.draw(self._stream("", parameters), values, (side, side, 3))
        writer.table(_with_drawn(index, drawn, any_drawn))

    def one(self, image: Image, sample: str, parameters: Mapping[str, Json]) -> Image:
        """Return `image`, that of `sample`, exactly as the set of `parameters` holds it."""
        return self._rendered(image, sample, parameters)[0]

    def again(self, node: Node, inputs: Mapping[str, Artifact], rows: Sequence[int]) -> Again:
        """Return images of the set of `node`, and masks where it has its own, each made alone."""
        from stages.corrupt.single_images import rendered_again

        clean = inputs["images"]
        render = partial(self._rendered, parameters=node.recipe.parameters)
        return rendered_again(clean, rows, render, self._move(clean))

    @cached_property
    def _kernel(self) -> Kernel[Any]:
        from stages.corrupt.backends import kernel_of  # numba

        return kernel_of(self._backend, self._corruption, self._severity, self._device)

    def _move(self, clean: Artifact) -> Callable[[Masks, Drawn], Masks] | None:
        """Return what moves the masks of an image; None where they stay as they are."""
        from stages.corrupt.masks import moved

        if not self._kernel.moves_masks or "masks" not in clean.manifest.mixed:
            return None
        return lambda masks, drawn: moved(masks, self._kernel, drawn)

    def _rendered(
        self, image: Image, sample: str, parameters: Mapping[str, Json]
    ) -> tuple[Image, Drawn]:
        from stages.corrupt.rendering import render

        stream = self._stream(sample, parameters)
        return render(image, self._corruption, self._severity, self._suite, stream, self._kernel)

    def _stream(self, sample: str, parameters: Mapping[str, Json]) -> Stream:
        from stages.corrupt.rendering import sample_stream

        seed, dataset = cast("int", parameters["seed"]), cast("str", parameters["dataset"])
        return sample_stream(seed, dataset, sample, self._corruption.name, self._severity)


def set_node(
    suite: SuiteManifest,
    corruption: CorruptionDeclaration,
    severity: int,
    images: Node,
    seed: int = 0,
    backend: Backend = "native",
    device: str = "auto",
) -> Node:
    """Return one set of a clean split: ``<suite>/<dataset>/<split>/<corruption>/<severity>``.

    The name of a suite that another backend renders is ``<suite>@<backend>``. The `device` is
    torch's, a resource that changes no pixel.

    Raises
    ------
    UsageError
        If the backend cannot render the suite.
    """
    from stages.corrupt.backends import identity
    from stages.corrupt.masks import fate_of

    clean = images.recipe.parameters
    parameters: dict[str, Json] = {
        "suite": suite.id,
        "gray": suite.gray,
        "dataset": clean["dataset"],
        "split": clean["split"],
        "corruption": corruption.name,
        "kernel": corruption.kernel,
        "renderer": identity(backend, suite, corruption),
        "severity": severity,
        "values": corruption.severities[severity - 1].model_dump(mode="json"),
        "seed": seed,
    }
    rendered_by = "" if backend == "native" else f"@{backend}"
    name = f"{suite.id}{rendered_by}/{images.recipe.name}/{corruption.name}/{severity}"
    attributes = dict(images.attributes)
    if clean["size"] == NATIVE:
        # Masks are what the kernel makes of them, so what it does to them is part of the key.
        attributes["masks"] = parameters["masks"] = fate_of(corruption)
    row_bytes = _row_bytes(images, suite)
    return Node(
        Recipe(CORRUPTIONS, name, VERSION, parameters, {"images": images.recipe}),
        Render(suite, corruption, severity, backend, device),
        rows=images.rows,
        row_bytes=row_bytes,
        slots=rows_per_shard(row_bytes, images.rows),
        inputs={"images": images},
        attributes=attributes,
    )


def _row_bytes(images: Node, suite: SuiteManifest) -> int:
    """Return the bytes of a rendered image; of mixed sizes, an estimate."""
    clean = images.recipe.parameters
    if clean["size"] == NATIVE:
        return images.row_bytes
    size, channels = clean["size"], clean["channels"]
    pixels = size * size if isinstance(size, int) else math.prod(size)
    return pixels * suite.channels_of(channels)


def _with_drawn(index: pa.Table, drawn: Sequence[Drawn | None], columns: Drawn) -> pa.Table:
    """Return `index` with one column per drawn parameter; those of any row give the `columns`."""
    import pyarrow as pa

    from pipeline.tables import column

    for name, value in columns.items():
        kind = {int: pa.int64(), float: pa.float64(), str: pa.string()}[type(value)]
        field = column(f"drawn_{name}", kind, "1", f"the corruption's parameter {name} as drawn")
        values = [None if row is None else row[name] for row in drawn]
        index = index.append_column(field, pa.array(values, kind))
    return index
