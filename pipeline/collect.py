"""Removes from a store what nothing that is kept needs.

An artifact leaves by one rename of its folder into staging, which is atomic: before it the
artifact is whole, after it the artifact does not exist, and what a kill leaves in staging is swept
by the next writer. What needs another is removed before it, so that a kill in between leaves no
artifact without its inputs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pipeline.artifact import ALIAS, MANIFEST, Manifest, require_schema
from pipeline.disk import remove_tree, reported
from pipeline.documents import read_document
from pipeline.errors import VerificationError
from pipeline.store import ALIAS_SCHEMA, STAGING, Store

Reason: TypeAlias = Literal["unreachable", "superseded", "begun", "alias", "damaged", "staging"]
"""Why something is removed: no root needs it; a newer recipe of its name is sealed; it was begun
and never sealed; it stands for an artifact that is removed; its manifest cannot be read, so that
it is none; a writer that is gone left it in staging."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A folder or file that nothing kept needs."""

    path: Path
    stage: str
    """Empty for what lies in staging, as are `name` and `recipe_key`."""
    name: str
    recipe_key: str
    reason: Reason
    nbytes: int
    inodes: int
    """Files and folders, itself among them."""

    @property
    def label(self) -> str:
        """``<stage>/<name>``, or the name of what lies in staging."""
        return f"{self.stage}/{self.name}" if self.stage else f"{STAGING}/{self.path.name}"


@dataclass(frozen=True)
class Collection:
    """What is removed, in an order in which nothing comes before what needs it."""

    removals: tuple[Removal, ...]
    young: tuple[Removal, ...]
    """What would be removed if it were older than the grace period."""
    kept: int
    """Sealed artifacts that stay."""

    @property
    def nbytes(self) -> int:
        """Bytes that are freed."""
        return sum(removal.nbytes for removal in self.removals)

    @property
    def inodes(self) -> int:
        """Files and folders that are freed."""
        return sum(removal.inodes for removal in self.removals)


def find_unneeded(
    store: Store,
    is_root: Callable[[str], bool] = lambda _: True,
    *,
    superseded: Iterable[str] = (),
    grace: float = 0.0,
    now: float | None = None,
) -> Collection:
    """Return what no root needs; nothing is changed.

    Parameters
    ----------
    is_root
        Tells, by the label of a sealed artifact, whether it is kept for its own sake.
    superseded
        Recipe keys of artifacts whose name has a newer recipe that is sealed: no roots, though a
        kept artifact may still need them.
    grace
        Seconds since it was last written that anything is left alone.
    now
        Seconds since the epoch by the clock of the store's file system; default: this host's.

    Raises
    ------
    StoreError
        If a newer version of this program wrote an artifact, of which nothing can be told.
    """
    now = time.time() if now is None else now
    holdings = _Holdings.of(store)
    old = frozenset(superseded)
    roots = [m.recipe_key for m in holdings.sealed.values() if is_root(m.label)]
    kept = holdings.reachable([key for key in roots if key not in old])
    unneeded = []
    for folder, reason in holdings.outside(kept, old):
        stage, *parts, key = folder.relative_to(store.root).parts
        unneeded.append(Removal(folder, stage, "/".join(parts), key, reason, *_size(folder)))
    ordered = holdings.consumers_first(unneeded)
    ordered += [Removal(p, "", "", "", "staging", *_size(p)) for p in store.orphans()]
    # A future time, which a clock set back gives, is young.
    is_old = {one.path: one.reason == "staging" or now - _age(one.path) > grace for one in ordered}
    _keep_needed(ordered, is_old, holdings)
    return Collection(
        tuple(one for one in ordered if is_old[one.path]),
        tuple(one for one in ordered if not is_old[one.path]),
        sum(key in kept for key in holdings.sealed),
    )


def remove_unneeded(store: Store, find: Callable[[float], Collection]) -> Collection:
    """Remove what `find` returns, as the only writer of the store.

    Parameters
    ----------
    find
        Called with the time by the clock of the store's file system, once nobody else writes.

    Raises
    ------
    HeldError
        If another process writes to the store.
    """
    swept = [Removal(p, "", "", "", "staging", *_size(p)) for p in store.orphans()]
    with store.alone() as session:
        found = find(_clock(session))
        gone = {removal.path for removal in found.removals}
        for removal in found.removals:
            _remove(store, removal.path, session / os.urandom(6).hex())
        _forget_damage(store)
    swept = [one for one in swept if one.path not in gone and not one.path.exists()]
    return Collection((*found.removals, *swept), found.young, found.kept)


@dataclass
class _Holdings:
    """The artifacts of a store by recipe key, and what each needs."""

    sealed: dict[str, Manifest] = field(default_factory=dict)
    aliases: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """Folder of an alias, and the key of the artifact that it stands for."""
    others: dict[str, tuple[Path, Reason]] = field(default_factory=dict)
    """Folders without a manifest that can be read."""

    @classmethod
    def of(cls, store: Store) -> _Holdings:
        found = cls()
        for folder in store.artifact_folders():
            try:
                found.sealed[folder.name] = Manifest.read(folder)
            except FileNotFoundError:
                found._unsealed(folder)
            except VerificationError:
                found.others[folder.name] = folder, "damaged"
        return found

    def _unsealed(self, folder: Path) -> None:
        try:
            alias = read_document(folder / ALIAS)
            require_schema(alias, ALIAS_SCHEMA, folder / ALIAS)
            self.aliases[folder.name] = folder, str(alias["recipe_key"])
        except (FileNotFoundError, KeyError):
            self.others[folder.name] = folder, "begun"
        except VerificationError:
            self.others[folder.name] = folder, "damaged"

    def needs(self, key: str) -> Iterator[str]:
        """Yield the keys of what an artifact or alias cannot do without."""
        if key in self.sealed:
            for source in self.sealed[key].document["inputs"].values():
                yield str(source["recipe_key"])
        elif key in self.aliases:
            yield self.aliases[key][1]

    def reachable(self, roots: Iterable[str]) -> set[str]:
        """Return `roots` and all that they need, directly or not."""
        found: set[str] = set()
        waiting = list(roots)
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting += self.needs(key)
        return found

    def outside(self, kept: set[str], superseded: frozenset[str]) -> Iterator[tuple[Path, Reason]]:
        """Yield the folders that are not kept, and why; an alias lives as what it stands for."""
        for key, manifest in self.sealed.items():
            if key not in kept:
                yield manifest.folder, "superseded" if key in superseded else "unreachable"
        for key, (folder, target) in self.aliases.items():
            if key not in kept and target not in kept:
                yield folder, "alias"
        for key, (folder, reason) in self.others.items():
            if key not in kept:
                yield folder, reason

    def consumers_first(self, removals: Sequence[Removal]) -> list[Removal]:
        """Return removals so that what needs another comes before it."""
        by_key = {removal.recipe_key: removal for removal in removals}
        ordered: dict[str, Removal] = {}  # inputs first
        for key in by_key:
            if key in ordered:
                continue
            stack = [(key, iter(self.needs(key)))]
            open_keys = {key}
            while stack:
                top, rest = stack[-1]
                source = next((s for s in rest if s in by_key and s not in open_keys), None)
                if source is None:
                    stack.pop()
                    ordered.setdefault(top, by_key[top])
                elif source not in ordered:
                    open_keys.add(source)
                    stack.append((source, iter(self.needs(source))))
        return list(reversed(ordered.values()))


def _keep_needed(ordered: Sequence[Removal], is_old: dict[Path, bool], holdings: _Holdings) -> None:
    """Let what is too young to be removed keep all that it needs."""
    young = [one.recipe_key for one in ordered if not is_old[one.path]]
    needed = holdings.reachable(young)
    for one in ordered:
        if one.recipe_key in needed:
            is_old[one.path] = False


def _remove(store: Store, path: Path, staged: Path) -> None:
    """Take a folder out of the store at once and durably, then free what it holds."""
    with reported(path):
        path.rename(staged)
        store.disk.sync_folder(path.parent)
        store.disk.sync_folder(staged.parent)
        remove_tree(staged)
        for parent in path.parents:
            if parent == store.root or parent.name == STAGING:
                break
            try:
                parent.rmdir()  # only if nothing else is in it
            except OSError:
                break


def _forget_damage(store: Store) -> None:
    """Forget the damage of what is gone, so that the record does not grow for ever."""
    try:
        damaged: Mapping[str, list[str]] = store.damaged()
    except VerificationError:  # the next whole verify writes it anew
        return
    if damaged:
        present = {manifest.identity for manifest in store.manifests()}
        left = {identity: kinds for identity, kinds in damaged.items() if identity in present}
        if left != damaged:
            store.record_damaged(left)


def _clock(session: Path) -> float:
    """Return the time now by the clock that gives files in the store their times.

    A file server and this host may disagree by more than the grace period.
    """
    probe = session / "clock"
    with reported(probe):
        probe.write_bytes(b"")
        now = probe.stat().st_mtime
        probe.unlink()
    return now


def _age(folder: Path) -> float:
    """Return when something was last written below a folder, as seconds since the epoch.

    The time of the document that makes an artifact exist counts, and where there is none that of
    the newest file.
    """
    for name in (MANIFEST, ALIAS):
        with contextlib.suppress(OSError):
            return (folder / name).stat().st_mtime
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(OSError):
            times.append(path.lstat().st_mtime)
    return max(times)


def _size(path: Path) -> tuple[int, int]:
    """Return the bytes and the number of files and folders at and below `path`."""
    nbytes = inodes = 0
    below = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    for one in (path, *below):
        with contextlib.suppress(OSError):
            status = one.lstat()
            inodes += 1
            nbytes += 0 if one.is_dir() and not one.is_symlink() else status.st_size
    return nbytes, inodes
