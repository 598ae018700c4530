"""What people declare in TOML, read into validated immutable values."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import pydantic

from pipeline.errors import ManifestError, UsageError

_REFERENCE = re.compile(
    r"\$\{\w+|\$\(|\{\{\s*\w|\{%|!!python|%[A-Z_]{2,}%|^`[^`]*`$|^~\w*(/|$)|^(env|exec):\w"
)
"""What shells, templates and other configuration languages look up or run."""

_NO_REFERENCE = "a manifest uses neither the environment nor code: {!r} is refused"


class Declared(pydantic.BaseModel):
    """Base of every declared value: immutable, unknown fields refused, no silent conversion."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


D = TypeVar("D", bound=Declared)
Schema: TypeAlias = type[D] | Callable[[Mapping[str, Any]], type[D]]
"""What a manifest must be, or what says so from its fields where one kind has several forms."""


def read_manifest(path: Path, schema: Schema[D]) -> D:
    """Return the manifest in `path` as a `schema` value.

    Raises
    ------
    ManifestError
        With every fault of the file at once: file, key, what is wrong, the nearest known field.
    """
    try:
        text = path.read_text(encoding="utf-8")
        declared = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path}: cannot be read as TOML: {error}"
        raise ManifestError(message) from error
    if found := list(_references(declared, ())):
        lines = [f"{path}: {'.'.join(key)}: {_NO_REFERENCE.format(text)}" for key, text in found]
        raise ManifestError("\n".join(lines))
    form: type[D] = schema if isinstance(schema, type) else schema(declared)
    try:
        # JSON mode lets TOML arrays become tuples while every other type stays strict.
        return form.model_validate_json(pydantic.TypeAdapter(dict).dump_json(declared))
    except pydantic.ValidationError as error:
        raise ManifestError("\n".join(_faults(path, form, error))) from error


def _references(value: object, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the key of every text that looks like a reference to the environment or to code."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _references(part, (*key, str(name)))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _references(part, (*key, str(position)))
    elif isinstance(value, str) and (match := _REFERENCE.search(value)):
        yield key, match[0]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown `name` of a `kind`, suggesting the nearest known one."""
    return UsageError(f"unknown {kind} {name!r}{nearest(name, known)}")


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Refuse a `name` of a `kind` that is none of the known ones, with `unknown_name`."""
    if name not in known:
        raise unknown_name(kind, name, known)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, or the known names."""
    names = sorted(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def _faults(path: Path, schema: type[Declared], error: pydantic.ValidationError) -> list[str]:
    faults = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"]) or "(file)"
        message = fault["msg"]
        if fault["type"] == "extra_forbidden":
            fields = _fields_at(schema, fault["loc"][:-1])
            message = f"unknown field{nearest(str(fault['loc'][-1]), fields)}"
        faults.append(f"{path}: {key}: {message}")
    return faults


def _fields_at(schema: type[Declared], location: Sequence[str | int]) -> Sequence[str]:
    """Return the field names of the (possibly nested) model that `location` points into."""
    model: type[pydantic.BaseModel] = schema
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            model = inner or model
    return list(model.model_fields)


def _model_in(annotation: object) -> type[pydantic.BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if found := _model_in(argument):
            return found
    return None
