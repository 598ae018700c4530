"""What a remote store holds: its artifacts and aliases, by listing or by catalogue."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pipeline.artifact import ALIAS, MANIFEST, Manifest, require_schema
from pipeline.documents import Document, parse_document, seal_document
from pipeline.errors import MissingInputError, StoreError, VerificationError
from pipeline.published import CATALOGUE, PUBLISHED, Published
from pipeline.sharing.names import Place, fault_of_place, split_path
from pipeline.sharing.recipes import path_of_recipe, place_of_recipe
from pipeline.sharing.remote import Remote
from pipeline.sharing.trouble import AbsentError
from pipeline.store import ALIAS_SCHEMA, SCHEMA, STORE_FILE, is_recipe_key

CATALOGUE_SCHEMA = "medshards/catalogue/1"

T = TypeVar("T")
S = TypeVar("S")


@dataclass
class Holdings:
    """The artifacts of a remote store. Their manifests are fetched when they are asked for."""

    remote: Remote
    files: dict[Place, dict[str, int]]
    """Files of each artifact by their path below its folder, with bytes; all that are there, or
    of a remote that lists nothing what its catalogue names."""
    recipes: dict[Place, int] = field(default_factory=dict)
    """Artifacts of which the recipe is there and nothing else, with the bytes of the recipe."""
    _manifests: dict[Place, Manifest] = field(default_factory=dict)
    _aliases: dict[Place, Place] = field(default_factory=dict)

    @classmethod
    def of(cls, remote: Remote) -> Holdings:
        """Return what a remote holds.

        Raises
        ------
        StoreError
            If it cannot be reached, lists nothing and has no catalogue, or is of a newer version.
        VerificationError
            If it names what leads outside the store.
        """
        _check_schema(remote)
        found: dict[Place, dict[str, int]] = {}
        recipes: dict[Place, int] = {}
        for path, nbytes in _paths(remote):
            try:
                split = split_path(path)
            except VerificationError as error:
                message = f"{remote.url}: {error}"
                raise VerificationError(message) from error
            if split is not None and split[1]:
                found.setdefault(split[0], {})[split[1]] = nbytes
            elif place := place_of_recipe(path):
                recipes[place] = nbytes
        lonely = {p: n for p, n in sorted(recipes.items()) if MANIFEST not in found.get(p, {})}
        return cls(remote, dict(sorted(found.items())), lonely)

    @property
    def sealed(self) -> list[Place]:
        """The places that have a manifest, ordered by stage and name."""
        return [place for place, files in self.files.items() if MANIFEST in files]

    @property
    def aliased(self) -> list[Place]:
        """The places that have an alias instead."""
        return [p for p, files in self.files.items() if ALIAS in files and MANIFEST not in files]

    def where(self, place: Place, path: str) -> str:
        """Return how messages name a file of an artifact."""
        return self.remote.where(f"{place.path}/{path}")

    def manifest(self, place: Place) -> Manifest:
        """Return the manifest of an artifact, checked against itself and its place.

        Its folder is the path below the remote store, which is no folder of this machine.

        Raises
        ------
        MissingInputError
            If it is not there any more.
        VerificationError
            If it was changed, or is not what belongs there.
        """
        if place not in self._manifests:
            path = f"{place.path}/{MANIFEST}"
            if place in self.recipes:
                path = path_of_recipe(place)
            where = self.remote.where(path)
            data = self.remote.read_small(path)
            if data is None:
                message = f"{where} is gone"
                raise MissingInputError(message)
            document = parse_document(data, where)
            manifest = Manifest.checked(Path(place.path), document, where)
            if fault := fault_of_place(manifest, place):
                message = f"{where}: refused: {fault}"
                raise VerificationError(message)
            self._manifests[place] = manifest
        return self._manifests[place]

    def manifests(self, places: Iterable[Place], workers: int) -> dict[Place, Manifest]:
        """Return several manifests, fetched at the same time."""
        wanted = list(places)
        return dict(zip(wanted, in_parallel(self.manifest, wanted, workers), strict=True))

    def published(self, place: Place) -> Published | None:
        """Return what lies beside a manifest, or None where nothing was recorded of it."""
        if PUBLISHED not in self.files.get(place, {}):
            return None
        where = self.where(place, PUBLISHED)
        data = self.remote.read_small(f"{place.path}/{PUBLISHED}")
        return None if data is None else Published.parse(data, self.manifest(place), where)

    def alias(self, place: Place) -> Place:
        """Return the artifact that an alias stands for.

        Raises
        ------
        VerificationError
            If it was changed, or stands for nothing that is there.
        """
        if place not in self._aliases:
            where = self.where(place, ALIAS)
            data = self.remote.read_small(f"{place.path}/{ALIAS}")
            document = parse_document(data or b"", where)
            require_schema(document, ALIAS_SCHEMA, where)
            key = document.get("recipe_key")
            if not isinstance(key, str) or not is_recipe_key(key):
                message = f"{where}: refused: {key!r} is no recipe key"
                raise VerificationError(message)
            self._aliases[place] = Place(place.stage, place.name, key)
        return self._aliases[place]

    def resolve(self, place: Place) -> Place | None:
        """Return the sealed artifact at a place, or that its alias leads to; None without one."""
        files = self.files.get(place, {})
        if MANIFEST not in files and ALIAS in files:
            place = self.alias(place)
        return place if MANIFEST in self.files.get(place, {}) else None


def inputs_of(manifest: Manifest) -> list[Place]:
    """Return where the artifacts that another was made from lie, by their recipe keys."""
    found = manifest.document["inputs"].values()
    return [Place(one["stage"], one["name"], one["recipe_key"]) for one in found]


def in_parallel(action: Callable[[S], T], items: Iterable[S], workers: int) -> list[T]:
    """Return `action` of every item, in order, several at the same time."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def write_catalogue(remote: Remote) -> None:
    """Write the catalogue anew from what the remote lists.

    Written once more if another push changed what is there meanwhile.
    """
    before: bytes | None = None
    for _ in range(3):
        holdings = Holdings.of(remote)
        data = seal_document(_catalogue(holdings))
        if data == before:
            return
        if before is None and remote.read_small(CATALOGUE) == data:
            return
        remote.keep(CATALOGUE, data)
        before = data


def require_store_file(remote: Remote) -> None:
    """Give a new remote store the file that says which schema it is of."""
    if remote.read_small(STORE_FILE) is None:
        remote.keep(STORE_FILE, seal_document({"schema": SCHEMA}))


def _catalogue(holdings: Holdings) -> Document:
    named = {MANIFEST, ALIAS, PUBLISHED}
    return {
        "schema": CATALOGUE_SCHEMA,
        "artifacts": {
            place.path: {name: files[name] for name in sorted(named & files.keys())}
            for place, files in holdings.files.items()
            if files.keys() & {MANIFEST, ALIAS}
        },
        "recipes": {path_of_recipe(place): size for place, size in holdings.recipes.items()},
    }


def _check_schema(remote: Remote) -> None:
    data = remote.read_small(STORE_FILE)
    if data is not None:
        where = remote.where(STORE_FILE)
        require_schema(parse_document(data, where), SCHEMA, where)


def _paths(remote: Remote) -> Iterator[tuple[str, int]]:
    if remote.lists:
        with contextlib.suppress(AbsentError):
            yield from remote.keep_trying("", remote.sizes).items()
        return
    data = remote.read_small(CATALOGUE)
    where = remote.where(CATALOGUE)
    if data is None:
        message = (
            f"{where}: there is none, and a web server lists nothing: `pipeline push` to the "
            "folder behind the address writes one"
        )
        raise StoreError(message)
    document = parse_document(data, where)
    require_schema(document, CATALOGUE_SCHEMA, where)
    yield from _catalogued(document, where)


def _catalogued(document: Mapping[str, object], where: str) -> Iterator[tuple[str, int]]:
    recipes = document.get("recipes")
    for path, nbytes in recipes.items() if isinstance(recipes, dict) else ():
        yield path, _size(path, nbytes, where)
    artifacts = document.get("artifacts")
    for path, files in artifacts.items() if isinstance(artifacts, dict) else ():
        for name, nbytes in files.items() if isinstance(files, dict) else ():
            yield f"{path}/{name}", _size(f"{path}/{name}", nbytes, where)


def _size(path: str, nbytes: object, where: str) -> int:
    if type(nbytes) is not int or nbytes < 0:
        message = f"{where}: refused: {path} has {nbytes!r} bytes"
        raise VerificationError(message)
    return nbytes
