"""The devices that `pipeline embed` uses, with a process for each where there are several."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from pipeline.cli.execution import runner_on
from pipeline.errors import UsageError
from pipeline.plan import Plan
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.runner import Manner, Outcome, Runner
    from pipeline.unit import Unit

_OWN: Final = frozenset(
    {"as_json", "device", "download", "dry_run", "log", "parts", "scheduler", "share"}
)
"""Parameters of a command that the processes which it starts do not share."""


def device_names(values: Sequence[str]) -> tuple[str, ...]:
    """Return the devices that were named; "auto" without any.

    Raises
    ------
    UsageError
        If there are several and one of them does not say which device it is.
    """
    names = tuple(values) or ("auto",)
    for name in names if len(names) > 1 else ():
        if not re.fullmatch(r"cpu|cuda:\d+", name):
            message = f"--device {name}: of several devices each is cpu or cuda:<number>"
            raise UsageError(message)
    return names


def worker_runner(
    scheduler: str | None, context: typer.Context, manifests: Path | None, names: Sequence[str]
) -> Runner | None:
    """Return what embeds where `--scheduler` says; None for processes of this command.

    Raises
    ------
    UsageError
        If several devices are named, where each worker has its own.
    """
    if scheduler is not None and len(names) > 1:
        message = "with --scheduler name one device: start a worker for each, that sees it alone"
        raise UsageError(message)
    needs = gpu_needed if names[0] != "cpu" else None
    return runner_on(scheduler, context, manifests, names[0], needs)


def gpu_needed(unit: Unit) -> Mapping[str, float]:
    """Return what a worker needs to embed: where any worker says that it has GPUs, one of them."""
    del unit
    return {"GPU": 1}


@dataclass(frozen=True)
class OnDevices:
    """Carries out a plan with one process per device; for one device in this process."""

    names: Sequence[str]
    """As `device_names` returned them."""
    arguments: Sequence[str]
    """Of the command `pipeline`, as `repeated` returned them."""
    learned: bool
    """Whether the encoders compute on a device at all: a fixed formula does not."""

    def __call__(self, store: Store, plan: Plan, manner: Manner) -> Outcome:
        """Build what the plan lists.

        Raises
        ------
        UsageError
            If a named device is not there.
        """
        from pipeline.runner import run

        names = self._present() if self.learned else self.names
        carry_out: Runner = run
        if len(names) > 1:
            from pipeline.cli.processes import Processes

            commands = [(name, [*self.arguments, f"--device={name}", "--share"]) for name in names]
            carry_out = Processes(commands, _environment(names)).run
        return carry_out(store, plan, manner)

    def _present(self) -> Sequence[str]:
        """Return the named devices, those that "auto" and "cuda" stand for each by its number."""
        if len(self.names) > 1:
            from stages.device import choose_device

            for name in self.names:
                choose_device(name)
        elif self.names[0] in {"auto", "cuda"}:
            import torch  # there is something to embed

            if (count := torch.cuda.device_count()) > 1:
                return [f"cuda:{number}" for number in range(count)]
        return self.names


def repeated(context: typer.Context) -> list[str]:
    """Return the arguments that give a command again what it was given, but for its own output."""
    words: list[str] = []
    above: Any = context
    while above.parent is not None:
        words.insert(0, str(above.info_name))
        above = above.parent
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.name in _OWN or value is None or value is False:
            continue
        option = parameter.opts[0]
        values = value if isinstance(value, (list, tuple)) else [value]
        # Not every process that is given them runs in the folder of this one.
        values = [one.absolute() if isinstance(one, Path) else one for one in values]
        words += [option] if value is True else [f"{option}={one}" for one in values]
    return words


def _environment(names: Sequence[str]) -> dict[str, str]:
    """Return variables by which processes on the CPU share its cores instead of fighting for them.

    For a GPU they stay as they are: its process waits for the GPU most of the time.
    """
    from stages.embed.processor import compute_threads

    on_cpu = Counter(names)["cpu"]
    return {"OMP_NUM_THREADS": str(max(1, compute_threads() // on_cpu))} if on_cpu else {}
