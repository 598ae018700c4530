"""``pipeline doctor``: what is present, what is missing, and where to get and put it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed
from pipeline.cli.output import print_json, show, size

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.cli.study import Study
    from stages.embed.presence import Presence

Model = Annotated[
    list[str] | None,
    typer.Option("--model", help="Encoder, comma-separated or repeated for several."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="auto, cpu or cuda: also say which device that is (imports torch)."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("doctor")(doctor)


def doctor(
    model: Model = None,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    weights: options.Weights = None,
    device: Device = None,
    as_json: options.AsJson = False,
) -> None:
    """Examine this machine: file system of the store, packages, corruptions, GPU and weights.

    Every corruption is rendered and compared with the digests that are shipped. Exits with 5 if
    one differs, 4 if a package is missing, 1 if a store is not safe on the file system. With
    --model it says instead whether encoders are ready: which files are here, which are missing
    and how to get them; exits with 4 if something is missing and 5 if a file is not what was
    promised. Uses no network.
    """
    from pipeline.cli.study import Study
    from pipeline.store import Store

    study = Study(Store(store), manifests)
    if not model:
        _examine(study, weights, device, as_json=as_json)
        return
    from stages.embed.presence import look

    found = [look(study.encoder(name), weights) for name in listed(model)]
    chosen = _device(device) if device else None
    if as_json:
        print_json("doctor", {"encoders": [_row(one, chosen) for one in found]})
    else:
        for one in found:
            _tell(one, chosen)
    code = max((one.exit_code for one in found), default=0)
    if code:
        raise typer.Exit(code)


def _examine(study: Study, weights: Path | None, device: str | None, *, as_json: bool) -> None:
    from pipeline.cli.machine import examine, tell

    health = examine(study, _installed(), weights)
    if device:
        health.machine["device"] = _device(device)
    if as_json:
        print_json("doctor", health.document)
    else:
        tell(health)
        if device:
            show(f"device: {health.machine['device']}")
    if health.exit_code:
        raise typer.Exit(health.exit_code)


def _installed() -> list[tuple[str, str | None]]:
    """Return this program, Python, and what the program requires, with versions."""
    import importlib.metadata
    import re

    from pipeline.packages import OWN, installed_version

    own = installed_version()
    required = (importlib.metadata.requires(OWN) or []) if own else []
    names = [re.match(r"[\w.-]+", line) for line in required if "extra ==" not in line]
    return [
        (OWN, own or "not installed"),
        ("python", platform.python_version()),
        *((name[0], installed_version(name[0])) for name in names if name),
    ]


def _device(name: str) -> str:
    from stages.device import choose_device

    return str(choose_device(name))


def _row(one: Presence, device: str | None) -> dict[str, Any]:
    manifest = one.manifest
    return {
        "id": manifest.id,
        "title": manifest.title,
        "state": one.state,
        "fault": None if one.fault is None else str(one.fault),
        "family": manifest.family,
        "licence": manifest.licence.model_dump(mode="json"),
        "packages": one.packages,
        "device": device,
        "files": [
            {
                "role": wanted.role,
                "title": wanted.title,
                "declared_sha256": wanted.sha256,
                "present": [
                    {
                        "path": str(file.path),
                        "where": file.where,
                        "bytes": file.bytes,
                        "sha256": file.sha256,
                        "expected_sha256": file.expected,
                        "damaged": file.damaged,
                    }
                    for file in one.present[wanted.role]
                ],
                "published": list(one.published(wanted)),
                "put": None if wanted.present else str(one.put(wanted)),
            }
            for wanted in one.wanted
        ],
        "commands": one.commands,
        "commands_elsewhere": one.commands_elsewhere,
    }


def _tell(one: Presence, device: str | None) -> None:
    manifest, licence = one.manifest, one.manifest.licence
    show(f"{manifest.id}: {one.state} ({manifest.title})")
    show(f"  family {manifest.family}, licence {licence.spdx}: {' '.join(licence.source.split())}")
    packages = (f"{name} {version or 'MISSING'}" for name, version in one.packages.items())
    show(f"  packages: {', '.join(packages)}")
    show(f"  device: {device or 'asked with --device auto'}")
    if one.fault is not None:
        show(f"  {one.fault}")
    for wanted in one.wanted:
        for file in one.present[wanted.role]:
            show(f"  {wanted.role}: {file.path} ({file.where}), {size(file.bytes)}")
            show(f"    SHA-256 {file.sha256}{_verdict(file.expected, damaged=file.damaged)}")
        if not wanted.present:
            show(f"  {wanted.role}: MISSING {wanted.title}")
            show(f"    published: {' or '.join(one.published(wanted)) or 'nowhere'}")
            show(f"    put it at: {one.put(wanted)}")
    if one.missing:
        _tell_how(one)


def _tell_how(one: Presence) -> None:
    """Say how to get what is missing."""
    if any(wanted.repositories or wanted.address for wanted in one.missing):
        show(f"  to get it: pipeline embed --model {one.manifest.id} --download")
    for command in one.commands:
        show(f"    or: {command}")
    if one.commands_elsewhere:
        show("  without a network, run elsewhere and carry the folder here:")
    for command in one.commands_elsewhere:
        show(f"    {command}")
    if one.given is None:
        show("  DIR is any folder; give it by --weights DIR")


def _verdict(expected: str | None, *, damaged: bool) -> str:
    if expected is None:
        return ""
    return (
        f", NOT the expected {expected}: remove the file and get it again"
        if damaged
        else ", as expected"
    )
