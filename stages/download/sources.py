"""Where a dataset's files come from, and what is promised of them."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from pipeline.manifest import Declared

Text = Annotated[str, Field(pattern=r"\S")]
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]*$")]
Url = Annotated[str, Field(pattern=r"^(https?|file)://\S+$")]


class Promise(Declared):
    """Digests and size a file must have; what is absent is not checked."""

    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    """Hexadecimal MD5: the only digest Zenodo and MedMNIST publish."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hexadecimal SHA-256."""
    blake3: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hexadecimal BLAKE3: what a first fetch pins."""
    size_bytes: PositiveInt | None = None
    """Length of the file in bytes."""

    def digests(self) -> dict[str, str]:
        """Return the promised digests by algorithm name."""
        found = {"md5": self.md5, "sha256": self.sha256, "blake3": self.blake3}
        return {name: digest for name, digest in found.items() if digest is not None}


class SingleFile(Promise):
    """A dataset that is one file; `file` may be left to the variants."""

    file: FileName = ""
    """Name of the file, here and at the source."""


class ZenodoSource(SingleFile):
    """A file of a Zenodo record."""

    kind: Literal["zenodo"]
    record: PositiveInt
    """Record number, the last part of the record's address."""
    mirrors: tuple[Url, ...] = ()
    """Other addresses of the same file, tried in order after Zenodo; `{file}` is its name."""


class UrlSource(SingleFile):
    """A file at one or more addresses."""

    kind: Literal["url"]
    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    """Addresses of the same file, tried in order; `{file}` stands for the file's name."""


class PlacedSource(SingleFile):
    """A file that a person must get themselves, for instance after registering."""

    kind: Literal["placed"]
    url: Url
    """Where to register or ask."""
    instructions: Text
    """What to do there, in one or two sentences."""


class FolderSource(Declared):
    """A folder the user already has; it is inventoried, never copied."""

    kind: Literal["folder"]
    path: Text = ""
    """The folder; a relative path starts at the manifest's own folder. Left out: a person places
    it, or names it with `--from`."""
    instructions: Annotated[str, Field(validate_default=True)] = ""
    """What the folder must hold and where to get it, for one that a person places."""

    @field_validator("instructions")
    @classmethod
    def _place_is_told(cls, instructions: str, info: ValidationInfo) -> str:
        if info.data.get("path") == "" and not instructions.strip():
            message = "give the path of the folder, or instructions for whoever must place it"
            raise ValueError(message)
        return instructions


FileSource: TypeAlias = ZenodoSource | UrlSource | PlacedSource
Source: TypeAlias = Annotated[FileSource | FolderSource, Field(discriminator="kind")]
