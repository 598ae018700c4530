"""Writing to a store: staging folders, the leases of writers and units, and what the dead left."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.disk import Disk, remove_tree, reported
from pipeline.errors import HeldError, StoreError
from pipeline.locks import Lease, Leases
from pipeline.recipe import Recipe

STAGING = "staging"
LEASES = "leases"
OWNER = ".owner"
"""Ending of the lease of a writer's staging folder; a unit's ends with ".lock"."""

_PAUSES = (0.002, 0.1)
"""Shortest and longest time, in seconds, between two looks at a lease that is waited for."""


class Sessions:
    """A folder that several processes write to, each in a staging folder of its own."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self.root = root
        self.disk = disk or Disk()
        self._session: Path | None = None
        self._owned: Lease | None = None
        self._leases = Leases()

    def _entered(self) -> None:
        """Do what a folder needs that is about to be written, perhaps for the first time."""

    @contextlib.contextmanager
    def writing(self, *, sweep: bool = True) -> Iterator[None]:
        """Make the store exist and keep a staging folder in it for as long as writing lasts.

        What killed writers left in staging is swept first, unless `sweep` is false.
        """
        self.disk.make_folder(self.root / STAGING)
        self.disk.make_folder(self.root / LEASES)
        session = self.root / STAGING / f"{os.getpid()}-{os.urandom(6).hex()}"
        began = time.monotonic()
        try:  # from the first lease on: an interruption may come at any moment
            with reported(self.root):
                self._begin(session, sweep=sweep)
            self._session = session
            self._entered()
            yield
        finally:
            self._session = None
            if sweep and time.monotonic() - began > self._leases.silence:
                self._sweep()  # by now it is known which writers elsewhere are silent
            if self._owned is not None:
                remove_tree(session)
                self._owned.release()
                self._owned = None

    def _begin(self, session: Path, *, sweep: bool) -> None:
        with self._exclusively("prepare"):
            if sweep:
                self._sweep()
            self._owned = self._leases.take(self._owner(session))
        self.disk.make_folder(session)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Path]:
        """Write as the only one, yielding a folder in staging; nobody can begin meanwhile.

        Raises
        ------
        HeldError
            If another process writes to the store.
        """
        with self.writing():
            session = self._session
            with self._exclusively("prepare"):
                owners = set((self.root / LEASES).glob(f"*{OWNER}"))
                if session is None or self._leases.settled(owners - {self._owner(session)}):
                    message = f"{self.root} is being written by another process: wait for its end"
                    raise HeldError(message)
                yield session

    @property
    def witness(self) -> Path:
        """A file of the store that is there for as long as this process writes."""
        if self._session is None:
            message = "a store is written inside `with store.writing()`"
            raise RuntimeError(message)
        return self._owner(self._session)

    @contextlib.contextmanager
    def lease(self, recipe: Recipe, shard: int) -> Iterator[None]:
        """Hold one unit of work, so that others need not do it too.

        Correctness never depends on it: two holders would only do the same work twice.

        Raises
        ------
        HeldError
            If another process holds the unit.
        """
        path = self.root / LEASES / f"{recipe.key}-{shard}.lock"
        with reported(path):
            lease = self._leases.take(path)
        if lease is None:
            message = f"{recipe.label} shard {shard} is being built by another process"
            raise HeldError(message)
        try:
            yield
        finally:
            lease.release()

    @contextlib.contextmanager
    def _exclusively(self, name: str) -> Iterator[None]:
        """Hold a lease of a name in this store, waiting for it."""
        path = self.root / LEASES / f"{name}.lock"
        pause, longest = _PAUSES
        with reported(path):
            while (lease := self._leases.take(path)) is None:
                time.sleep(pause)
                pause = min(2 * pause, longest)
        try:
            yield
        finally:
            lease.release()

    def _owner(self, session: Path) -> Path:
        """Return the lease of a writer's staging folder."""
        return self.root / LEASES / f"{session.name}{OWNER}"

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a fresh folder to stage files in; it is gone afterwards."""
        if self._session is None:
            message = "a store is written inside `with store.writing()`"
            raise RuntimeError(message)
        folder = self._session / os.urandom(6).hex()
        try:
            self.disk.make_folder(folder)
            yield folder
        finally:
            remove_tree(folder)

    def return_to_life(self) -> None:
        """Own a staging folder again after others have taken this writer for dead.

        A process that was stopped for longer than leases last finds that its folder is gone.
        """
        if self._session is not None:
            lease = self._leases.take(self._owner(self._session))
            self._owned = lease or self._owned
            self.disk.make_folder(self._session)

    def sweep(self) -> None:
        """Remove what killed writers left in staging, if the store can be written."""
        if self.orphans():
            with contextlib.suppress(StoreError), self.writing():
                pass

    def _sweep(self) -> None:
        """Remove what killed writers left; what belongs to others and cannot be stays."""
        for path in self.orphans():
            with contextlib.suppress(OSError):
                remove_tree(path)
        for path in (self.root / LEASES).iterdir():
            with contextlib.suppress(OSError):
                self._leases.clear(path)

    def is_being_written(self) -> bool:
        """Tell whether any process keeps a staging folder here now."""
        found = (self.root / LEASES).glob(f"*{OWNER}")
        return any(self._leases.is_live(path) for path in found)

    def orphans(self) -> list[Path]:
        """Return what lies in staging and has no living owner."""
        folder = self.root / STAGING
        found = sorted(folder.iterdir()) if folder.is_dir() else []
        # A writer that ends meanwhile takes its folder away before it gives up its lease.
        return [p for p in found if not self._leases.is_live(self._owner(p)) and p.exists()]
