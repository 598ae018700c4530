"""Images, prompts and an encoder small enough to break on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from pipeline.errors import PipelineError
from pipeline.plan import make_plan
from pipeline.recipe import Recipe
from pipeline.runner import Manner, Outcome, run
from pipeline.store import Store
from pipeline.tables import column
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed.encoder import Embeddings, Images
from stages.embed.loaded import LoadedOnce
from stages.embed.schema import EncoderManifest
from tests.stages.embed.tiny import declare_clip

ROWS, SLOTS, WIDTH, BATCH = 25, 10, 16, 4


class Pictures:
    """Writes images of noise, `c0` to `c24`."""

    parallel = True

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the images of a unit."""
        rows = range(unit.start, unit.stop)
        images = writer.array("images", "uint8", (4, 4, 3))
        for place, row in enumerate(rows):
            images[place] = np.random.default_rng(row).integers(1, 255, (4, 4, 3))
            images[place, 0, 0, 0] = row
        schema = pa.schema([column("id", pa.string(), "", "the sample")])
        writer.table(pa.table([[f"c{row}" for row in rows]], schema=schema))


class Sentences:
    """Writes six prompts, the fourth of a target that failed, the last as the first."""

    parallel = True
    texts = ("one", "two", "", None, "five", "one")

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write the prompts."""
        texts = self.texts
        columns: dict[str, list[str | None]] = {
            "sample": [f"s{row}" for row in range(len(texts))],
            "target": ["blob"] * len(texts),
            "status": ["ok" if text is not None else "failed" for text in texts],
            "error": [None if text is not None else "torn" for text in texts],
            "prompt": ["p0"] * len(texts),
            "variant": [None] * len(texts),
            "change": [None] * len(texts),
            "text": list(texts),
        }
        fields = [column(name, pa.string(), "", name) for name in columns]
        writer.table(pa.table(list(columns.values()), schema=pa.schema(fields)))


def pictures(rows: int = ROWS) -> Node:
    """Return the images."""
    recipe = Recipe("datasets", "toys/test", 1, {"dataset": "toys", "rows": rows})
    return Node(recipe, Pictures(), rows, row_bytes=48, slots=min(rows, SLOTS))


def sentences() -> Node:
    """Return the prompts."""
    recipe = Recipe("prompts", "fixed/toys/test", 1, {})
    return Node(recipe, Sentences(), len(Sentences.texts), row_bytes=10, slots=10)


Spoil = Callable[[Embeddings], Embeddings]


@dataclass
class Toy:
    """An encoder whose embeddings are the first pixels, and lengths of texts, then spoilt."""

    spoil: Spoil
    width: int = WIDTH
    context_length: int = 12
    logit_scale: float = 100.0
    asked: list[int] = field(default_factory=list)
    """How many inputs each call has had."""

    @property
    def text(self) -> Toy:
        return self

    def encode_images(self, images: Images) -> Embeddings:
        self.asked.append(len(images))
        pixels = [np.asarray(image, np.float32).reshape(-1)[:WIDTH] for image in images]
        return self.spoil(np.stack(pixels) + 1)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self.asked.append(len(texts))
        lengths = np.array([len(text) for text in texts], np.float32)
        return self.spoil(lengths[:, None] + np.arange(1, WIDTH + 1, dtype=np.float32))

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.array([len(text) for text in texts])


class Ready(LoadedOnce):
    """An encoder that is there already."""

    def __init__(self, manifest: EncoderManifest, encoder: Any) -> None:
        super().__init__(manifest, None, "cpu", batch_size=BATCH)
        self.encoder = encoder

    def get(self) -> Any:
        return self.encoder


def ready(spoil: Spoil = lambda found: found, **changes: object) -> Ready:
    """Return an encoder, broken by what is done to its embeddings."""
    return Ready(declare_clip(**changes), Toy(spoil))


def build(root: Path, node: Node) -> Outcome:
    """Build a node with its inputs, one unit after the other."""
    store = Store.open(root)
    return run(store, make_plan(store, [node]), Manner(1))


def refused(root: Path, node: Node, kind: type[PipelineError], *phrases: str) -> None:
    """Assert that building fails by one error that says all phrases, and seals nothing."""
    outcome = build(root, node)
    (message,) = {str(failure.error) for failure in outcome.failures}
    assert {type(failure.error) for failure in outcome.failures} == {kind}
    for phrase in phrases:
        assert phrase in message
    store = Store.open(root)
    assert store.sealed(node.recipe) is None
    lost = {failure.unit.shard for failure in outcome.failures}
    assert not lost & store.records(node.recipe)
