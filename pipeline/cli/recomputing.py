"""``pipeline verify --recompute``: rows made once more and compared with what is stored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.cli.makers import encoder_of, is_made_by_rows, maker, without_weights
from pipeline.errors import DataError, MissingInputError, VerificationError
from pipeline.recompute import differing, drawn_rows
from pipeline.verify import Problem

if TYPE_CHECKING:
    from pipeline.artifact import Artifact, Manifest
    from pipeline.cli.study import Study
    from pipeline.recompute import Different
    from pipeline.unit import Node

KIND = "recompute"
"""Kind of the problems that are found so."""


@dataclass
class Recomputed:
    """What recomputing has found."""

    seed: int
    artifacts: int = 0
    """Artifacts of which rows were made again."""
    rows: int = 0
    """Rows of them all."""
    problems: list[tuple[Problem, Different | None]] = field(default_factory=list)
    """Rows that differ, and artifacts that cannot be read."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Artifacts that could not be made again, each with the reason and what to do."""

    @property
    def text(self) -> str:
        """One line that sums it up."""
        different = len({(one.artifact, d.row) for one, d in self.problems if d is not None})
        left_out = f"; {len(self.left_out)} artifacts not recomputed" if self.left_out else ""
        return (
            f"recomputed {self.rows} rows of {self.artifacts} artifacts, drawn by seed "
            f"{self.seed}: {different} differ{left_out}"
        )

    @property
    def json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "seed": self.seed,
            "artifacts": self.artifacts,
            "rows": self.rows,
            "not_recomputed": [
                {"artifact": artifact, "reason": reason} for artifact, reason in self.left_out
            ],
        }


def recompute(
    open_study: Callable[[], Study],
    manifests: Iterable[Manifest],
    count: int,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Recomputed:
    """Make `count` rows of each artifact once more, from its sealed inputs, and compare them.

    Artifacts of which single rows cannot be made are passed over. One encoder is loaded at a time.

    Parameters
    ----------
    open_study
        Returns a new study of the store that holds the artifacts.
    manifests : iterable of Manifest
        Of sealed artifacts that are undamaged.
    count, seed : int
        How many rows of each, and what they are drawn by.
    progress
        Is told a line of what is being done, for each artifact.
    """
    chosen = sorted(
        filter(is_made_by_rows, manifests),
        key=lambda one: (encoder_of(one), one.stage, one.name),
    )
    found = Recomputed(seed)
    for _, group in itertools.groupby(chosen, encoder_of):
        study = open_study()
        for manifest in group:
            progress(f"{found.artifacts} artifacts recomputed, now {manifest.label}")
            _recompute(study, manifest, count, found)
    return found


def _recompute(study: Study, manifest: Manifest, count: int, found: Recomputed) -> None:
    try:
        roles = manifest.document["inputs"]
        inputs = {role: study.store.input_of(manifest, role) for role in roles}
        node = maker(study, manifest, inputs)
    except (MissingInputError, DataError) as error:
        found.left_out.append((manifest.label, str(error)))
        return
    except VerificationError as error:
        found.problems.append((_problem(manifest, "", str(error)), None))
        return
    _compare(manifest, node, inputs, count, found)


def _compare(
    manifest: Manifest, node: Node, inputs: dict[str, Artifact], count: int, found: Recomputed
) -> None:
    from pipeline.artifact import Artifact

    artifact = Artifact(manifest)
    rows = drawn_rows(artifact, count, found.seed)
    try:
        different = differing(artifact, node, inputs, rows)
    except MissingInputError as error:
        found.left_out.append((manifest.label, str(without_weights(error, manifest))))
        return
    except DataError as error:
        found.left_out.append((manifest.label, str(error)))
        return
    except VerificationError as error:
        found.problems.append((_problem(manifest, "", str(error)), None))
        return
    found.artifacts += 1
    found.rows += len(rows)
    found.problems += [(_problem(manifest, one.array, _told(one)), one) for one in different]


def _problem(manifest: Manifest, array: str, detail: str) -> Problem:
    path = "/".join(filter(None, (manifest.label, manifest.recipe_key, array)))
    return Problem(manifest.label, path, KIND, detail)


def _told(one: Different) -> str:
    apart = "is of another shape, or NaN or infinite in one alone"
    if one.difference is not None:
        apart = f"differs by {one.difference:.3g} from what is made now"
    allowed = f"at most {one.tolerance:g} is allowed" if one.tolerance else "it must be equal"
    return f"row {one.row} ({one.name!r}) {apart}; {allowed}"
