"""The device of torch that renders or embeds: a resource, which enters no key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """Return the device that `name` asks for: "auto" is the first CUDA device, else the CPU.

    Raises
    ------
    UsageError
        If the name is unknown or this machine has no such device.
    """
    import torch  # only where something is rendered or embedded

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda"}:
        message = f"unknown device {name!r}; give auto, cpu, cuda or cuda:<number>"
        raise UsageError(message)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        message = f"there is no device {name!r} on this machine; give --device cpu"
        raise UsageError(message)
    return device
