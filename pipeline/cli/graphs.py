"""The graph that a command would build, for processes that get nothing but its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from pipeline.digest import digest_json
from pipeline.errors import PipelineError
from pipeline.store import Store
from pipeline.unit import Node

_ASKED: ContextVar[bool] = ContextVar("_ASKED", default=False)


class _FoundError(Exception):
    """Ends a command that was only asked for its graph."""

    def __init__(self, store: Store, targets: Sequence[Node]) -> None:
        super().__init__()
        self.store = store
        self.targets = targets


def tell_graph(store: Store, targets: Sequence[Node]) -> None:
    """End the command here if only its graph was asked for."""
    if _ASKED.get():
        raise _FoundError(store, targets)


def graph_of(arguments: Sequence[str]) -> tuple[Store, dict[str, Node]]:
    """Return the store of a command and all it would build, inputs included, by recipe key.

    Raises
    ------
    PipelineError
        What the command would say if it could not even plan.
    """
    import typer

    from pipeline.cli import app

    command = typer.main.get_command(app)
    asked = _ASKED.set(True)
    try:
        command.main([*arguments, "--dry-run"], prog_name="pipeline", standalone_mode=False)
    except _FoundError as found:
        return found.store, _with_inputs(found.targets)
    finally:
        _ASKED.reset(asked)
    message = f"pipeline {' '.join(arguments)} builds nothing"
    raise PipelineError(message)


def _with_inputs(targets: Sequence[Node]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    waiting = list(targets)
    while waiting:
        node = waiting.pop()
        if node.recipe.key not in nodes:
            nodes[node.recipe.key] = node
            waiting.extend(node.inputs.values())
    return nodes


def code_digest() -> str:
    """Return a digest of this program: of all its modules and shipped manifests."""
    return _digest_of(tuple(Path(__file__).parents[2] / name for name in _PACKAGES))


def manifests_digest(folder: str | None) -> str:
    """Return a digest of a user's manifests; of none, that of nothing."""
    return _digest_of((Path(folder),)) if folder else ""


_PACKAGES = ("pipeline", "stages", "manifests")


@lru_cache(maxsize=8)
def _digest_of(folders: tuple[Path, ...]) -> str:
    from pipeline.digest import digest_file

    return digest_json(
        [
            [path.relative_to(folder).as_posix(), digest_file(path)]
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.suffix in {".py", ".toml", ".npy"}
        ]
    )
