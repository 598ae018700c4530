"""The files an encoder consists of: what they are called, where they lie, where to get them.

Each family says once which files it wants. Its loader, the message that something is missing,
`pipeline doctor` and `pipeline embed --download` all go by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pipeline.errors import MissingInputError
from stages.embed.hub import Place, cache_folder, is_file_address
from stages.embed.schema import EncoderManifest

Role: TypeAlias = Literal[
    "weights", "configuration", "text configuration", "preprocessing", "vocabulary"
]

_USUAL: Final = 3
"""Most alternatives that a command names."""


@dataclass(frozen=True)
class WantedFile:
    """A file, or a few that belong together, without which an encoder cannot be loaded."""

    role: Role
    title: str
    """How people name it."""
    groups: tuple[tuple[str, ...], ...]
    """Names of the files in a repository; one group is enough, the preferred one first."""
    places: tuple[Place, ...]
    """Where it is looked for, the nearest first; none where it is not published."""
    present: tuple[Path, ...] = ()
    """The files on this machine; none if it is missing."""
    extra: tuple[str, ...] = ()
    """Names of files that are taken along where a repository has them."""
    url: str | None = None
    """Where it is published outside the Hub."""
    sha256: str | None = None
    """Declared SHA-256 of the file, hexadecimal."""

    @property
    def repositories(self) -> tuple[Place, ...]:
        """Those of the places that are repositories of the Hub."""
        return tuple(place for place in self.places if place.repository is not None)

    @property
    def address(self) -> str | None:
        """Where a program can fetch it outside the Hub, which is not the address of a page."""
        folders = [place for place in self.places if place.folder is not None]
        return self.url if folders and is_file_address(self.url) else None

    def __str__(self) -> str:
        """Return the title and the places."""
        return (
            f"{self.title} of {' or '.join(map(str, self.places))}" if self.places else self.title
        )


def around(place: Place, *repositories: str | None) -> tuple[Place, ...]:
    """Return where files of `repositories` may lie, the nearest first.

    That is `place`; if it is a folder, a folder there that is named as the repository, without its
    owner; and the hub cache.
    """
    places = [place]
    for repository in filter(None, repositories):
        if place.folder is not None:
            places.append(Place(folder=place.folder / repository.rpartition("/")[2]))
        places.append(Place(repository=repository))
    return tuple(dict.fromkeys(other for other in places if other != Place()))


def require(manifest: EncoderManifest, wanted: Iterable[WantedFile]) -> None:
    """Raise unless everything that is wanted is there.

    Raises
    ------
    MissingInputError
        Naming every missing file at once, where it is published and where to put it.
    """
    missing = [one for one in wanted if not one.present]
    if not missing:
        return
    for one in missing:
        if not one.places:
            place = f"published at {one.url}" if one.url else "not published"
            message = f"{manifest.id}: its {one.role} are {place}; give them by --weights DIR"
            raise MissingInputError(message)
    lines = [f"{manifest.id}: files are missing; needed:"]
    lines += [f"  - {one}" for one in missing]
    lines.append(
        "each in the folder given by --weights DIR, in a folder there that is named as its "
        f"repository, or in the hub cache {cache_folder()}"
    )
    if any(one.repositories or one.address for one in missing):
        lines.append(f"where there is a network: pipeline embed --model {manifest.id} --download")
    lines += [f"or: {command}" for command in commands(manifest, missing)]
    raise MissingInputError("\n".join(lines))


def sources(manifest: EncoderManifest, wanted: WantedFile) -> tuple[Place, ...]:
    """Return the repositories that publish a file, also where `--weights` bars them."""
    declared = manifest.weights
    if wanted.repositories or declared is None or declared.repository is None:
        return wanted.repositories
    return (Place(repository=declared.repository, revision=declared.revision),)


def commands(manifest: EncoderManifest, missing: Sequence[WantedFile]) -> list[str]:
    """Return the commands that bring missing files into the hub cache, one per repository.

    Of several names `hf download` takes those that exist, so the usual alternatives are all named.
    """
    names: dict[Place, dict[str, None]] = {}
    for one in missing:
        for place in sources(manifest, one):
            every = chain(*one.groups[:_USUAL], one.extra)
            names.setdefault(place, {}).update(dict.fromkeys(every))
    return [
        f"hf download {place.repository} {' '.join(files)}"
        + ("" if place.revision == "main" else f" --revision {place.revision}")
        for place, files in names.items()
    ]
