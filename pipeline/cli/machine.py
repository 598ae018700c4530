"""What `pipeline doctor` finds out of this machine: file system, corruptions, GPU, weights."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.output import say, show, size
from pipeline.errors import PipelineError, first_line

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.probe import Finding

_MARKS = {"ok": "ok", "note": "NOTE", "fails": "FAILS"}


@dataclass(frozen=True)
class Health:
    """All that was found out."""

    store: Path
    findings: Sequence[Finding]
    packages: Sequence[tuple[str, str | None]]
    machine: dict[str, Any]
    corruptions: int
    """Corruptions, counted once per suite and dataset, that were rendered at every severity."""
    differing: Sequence[tuple[str, str, int]]
    """Name, corruption and severity of those whose bytes are others than promised."""
    encoders: Sequence[dict[str, Any]]
    gpus: Sequence[dict[str, str]]

    @property
    def exit_code(self) -> int:
        """5 if rendered bytes differ, 4 if a package lacks, 1 if a store is not safe here."""
        if self.differing:
            return 5
        if not all(version for _, version in self.packages):
            return 4
        return 1 if any(one.state == "fails" for one in self.findings) else 0

    @property
    def document(self) -> dict[str, Any]:
        """All of it for programs."""
        rows = [
            {"name": name, "corruption": corruption, "severity": severity}
            for name, corruption, severity in self.differing
        ]
        return {
            "packages": dict(self.packages),
            "machine": self.machine,
            "store": str(self.store),
            "file_system": [asdict(one) for one in self.findings],
            "golden": {"corruptions": self.corruptions, "differing": rows},
            "gpus": list(self.gpus),
            "encoders": list(self.encoders),
        }


def examine(
    study: Study, packages: Sequence[tuple[str, str | None]], weights: Path | None
) -> Health:
    """Return what this machine is and can do; the store is not changed."""
    from pipeline.probe import probe

    root = study.store.root
    say(f"probing the file system of {root}")
    findings = probe(root)
    corruptions, differing = _golden() if all(version for _, version in packages) else (0, [])
    return Health(
        store=root,
        findings=findings,
        packages=packages,
        machine=_machine(),
        corruptions=corruptions,
        differing=differing,
        encoders=[_encoder(study, name, weights) for name in sorted(study.encoders)],
        gpus=_gpus(),
    )


def tell(health: Health) -> None:
    """Print it for people."""
    machine = health.machine
    show(f"machine: {machine['platform']}, {machine['processor']}, {machine['cpus']} CPUs")
    for gpu in health.gpus:
        show(f"  GPU: {gpu['name']}, {gpu['memory']}, driver {gpu['driver']}")
    if not health.gpus:
        show("  GPU: none that nvidia-smi tells of")
    versions = (f"{name} {version or 'MISSING'}" for name, version in health.packages)
    show(f"packages: {', '.join(versions)}")
    show(f"store: {health.store}")
    for one in health.findings:
        show(f"  {_MARKS[one.state]:<5} {one.name}: {one.detail}")
    for name, corruption, severity in health.differing:
        show(f"  DIFFERS {name} {corruption} severity {severity}: other bytes than promised")
    wrong = len({(name, corruption) for name, corruption, _ in health.differing})
    show(f"corruptions: {health.corruptions - wrong} of {health.corruptions} as promised")
    if health.differing:
        show("  sets that are built here would not be equal to those of other machines")
    ready = [encoder for encoder in health.encoders if encoder["state"] == "present"]
    show(f"encoders: {len(ready)} of {len(health.encoders)} have their files here")
    for encoder in ready:
        show(f"  {encoder['id']}: {size(encoder['bytes'])}")
    lacking = [other["id"] for other in health.encoders if other["state"] != "present"]
    if lacking:
        show(f"  not here: {', '.join(lacking)}; `pipeline doctor --model NAME` says what to do")


def _golden() -> tuple[int, list[tuple[str, str, int]]]:
    """Render the images of the golden digests: how many corruptions, and which differ."""
    from stages.corrupt.golden import differing, golden_names, shipped_golden

    promised = shipped_golden()
    say("rendering every corruption of every suite on this machine")
    names = golden_names()
    return sum(len(promised[name]) for name in names), differing(names)


def _encoder(study: Study, name: str, weights: Path | None) -> dict[str, Any]:
    """Return whether the files of an encoder are here; they are not read."""
    from stages.embed.loaders import loader

    manifest = study.encoders[name]
    fault = None
    lacking: list[str] = []
    nbytes = 0
    try:
        for wanted in loader(manifest.family).files(manifest, weights):
            lacking += [] if wanted.present else [wanted.role]
            nbytes += sum(path.stat().st_size for path in wanted.present)
    except (PipelineError, OSError) as error:
        fault = first_line(error)
    state = "missing" if lacking or fault else "present"
    return {"id": name, "state": state, "bytes": nbytes, "lacks": lacking, "fault": fault}


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "python": platform.python_version(),
        "byte_order": sys.byteorder,
    }


def _processor() -> str:
    """Return the name of the processor, as far as this host tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[dict[str, str]]:
    """Return name, memory and driver of the NVIDIA GPUs, without loading torch."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(  # noqa: S603 - the driver's own program
            [program, *query], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(", ") for line in answer.stdout.splitlines()]
    keys = ("name", "memory", "driver")
    return [dict(zip(keys, row, strict=True)) for row in rows if len(row) == len(keys)]
