"""What of an encoder is on this machine, whether it is intact, and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from pipeline.digest import sha256_file
from pipeline.errors import MissingInputError, PipelineError, VerificationError
from stages.embed.hub import cache_folder
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.wanted import Role, WantedFile, commands, sources

State: TypeAlias = Literal["ready", "missing", "damaged", "faulty"]


@dataclass(frozen=True)
class PresentFile:
    """A file on this machine."""

    path: Path
    where: str
    """Which of the places that is, in words."""
    bytes: int
    sha256: str
    """Of its bytes, hexadecimal."""
    expected: str | None
    """What the manifest declares, else what the Hub said when it was downloaded; none if neither
    is known."""

    @property
    def damaged(self) -> bool:
        """Whether its bytes are others than expected."""
        return self.expected is not None and self.expected != self.sha256


@dataclass(frozen=True)
class Presence:
    """What there is of one encoder."""

    manifest: EncoderManifest
    wanted: tuple[WantedFile, ...]
    present: dict[Role, tuple[PresentFile, ...]]
    """Files by role of what is wanted."""
    packages: dict[str, str | None]
    """Version by name as imported; none if it is not installed."""
    fault: PipelineError | None
    """Why the files could not be looked at."""
    given: Path | None
    """What `--weights` gave."""

    @property
    def missing(self) -> tuple[WantedFile, ...]:
        """What is not there."""
        return tuple(one for one in self.wanted if not one.present)

    @property
    def state(self) -> State:
        """Whether the encoder can be loaded, and if not, what stands against it first."""
        if any(file.damaged for files in self.present.values() for file in files):
            return "damaged"
        if self.fault is not None and not isinstance(self.fault, MissingInputError):
            return "faulty"
        lacks = self.fault or self.missing or None in self.packages.values()
        return "missing" if lacks else "ready"

    @property
    def exit_code(self) -> int:
        """Exit code of a command that asks for this encoder."""
        match self.state:
            case "damaged":
                return VerificationError.exit_code
            case "faulty":
                return self.fault.exit_code if self.fault is not None else 1
            case "missing":
                return MissingInputError.exit_code
        return 0

    def published(self, wanted: WantedFile) -> tuple[str, ...]:
        """Return where a file can be got: repositories, or an address."""
        found = tuple(map(str, sources(self.manifest, wanted)))
        return found or ((wanted.url,) if wanted.url else ())

    def put(self, wanted: WantedFile) -> Path:
        """Return where to put a file by hand; `DIR` is a folder to be given by --weights."""
        name = PurePosixPath(wanted.groups[0][0]).name
        last = wanted.repositories[-1].repository if wanted.repositories else None
        return self._folder(last) / name

    def _folder(self, repository: str | None) -> Path:
        """Return where the files of a repository belong: its own folder if it is a second one."""
        base = Path("DIR")
        if self.given is not None:
            base = self.given if self.given.is_dir() else self.given.parent
        own = self.manifest.weights.repository if self.manifest.weights else None
        return base if repository in {own, None} else base / str(repository).rpartition("/")[2]

    @property
    def commands(self) -> list[str]:
        """The commands that bring what is missing into the hub cache, if it is looked for there."""
        there = [one for one in self.missing if one.repositories]
        return commands(self.manifest, there)

    @property
    def commands_elsewhere(self) -> list[str]:
        """The commands for a machine with a network: into a folder that is carried here."""
        return [
            f"{command} --local-dir {shlex.quote(str(self._folder(command.split()[2])))}"
            for command in commands(self.manifest, self.missing)
        ]


def look(manifest: EncoderManifest, given: Path | None) -> Presence:
    """Return what there is of an encoder; files are read whole, no model library is imported."""
    family = loader(manifest.family)
    wanted: tuple[WantedFile, ...] = ()
    fault = None
    try:
        wanted = family.files(manifest, given)
    except PipelineError as error:
        fault = error
    present = {
        one.role: tuple(_present(path, one.sha256, given) for path in one.present) for one in wanted
    }
    return Presence(manifest, wanted, present, versions(family.PACKAGES), fault, given)


def versions(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Return the installed version of packages by the name they are imported by."""
    distributions = importlib.metadata.packages_distributions()
    found: dict[str, str | None] = {}
    for name in packages:
        there = importlib.util.find_spec(name) is not None
        owner = distributions.get(name, ())
        found[name] = (importlib.metadata.version(owner[0]) if owner else "?") if there else None
    return found


def _present(path: Path, declared: str | None, given: Path | None) -> PresentFile:
    # In the hub cache a large file is a link to one that is named by its SHA-256.
    blob = path.resolve().name
    cached = path.is_relative_to(cache_folder())
    known = blob if cached and re.fullmatch(r"[0-9a-f]{64}", blob) else None
    where = "the hub cache" if cached else str(path.parent)
    if given is not None and path.is_relative_to(given if given.is_dir() else given.parent):
        where = "--weights"
    return PresentFile(path, where, path.stat().st_size, sha256_file(path), declared or known)
