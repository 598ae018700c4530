"""How many cores of this machine are ours, and how many threads a model computes on."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

_SIBLINGS = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def cores(root: Path = Path("/")) -> int:
    """Return how many processors this process may use at once, at least 1.

    Those that it is allowed to run on (affinity), or fewer where a control group gives it less
    processor time, as in most containers and batch jobs.
    """
    quota = _quota(root)
    return max(1, min(len(_allowed()), math.ceil(quota) if quota else len(_allowed())))


def compute_threads(root: Path = Path("/")) -> int:
    """Return on how many threads products of matrices are fastest: one for each physical core.

    Two threads of one core share its arithmetic units, and threads beyond the quota of a control
    group are stopped while the others wait for them.
    """
    siblings = {_read(root / _SIBLINGS.format(number)) or str(number) for number in _allowed()}
    return min(len(siblings), cores(root))


def limit_threads() -> None:
    """Let torch compute on no more threads than help, unless `OMP_NUM_THREADS` says how many."""
    import torch  # only once there is a model

    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > compute_threads():
        torch.set_num_threads(compute_threads())


def _allowed() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quota(root: Path) -> float | None:
    """Return the processors that the narrowest control group around this process allows, if any.

    Of version 2 `cpu.max` ("400000 100000": microseconds in each period, or "max"), of version 1
    `cpu.cfs_quota_us` (-1 for no limit) and `cpu.cfs_period_us`.
    """
    found = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents):
            if controllers:
                told = [_read(mount / group / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
            else:
                told = _read(mount / group / "cpu.max").split()
            if len(told) == 2 and told[0].isdecimal() and told[1].isdecimal():
                found.append(int(told[0]) / int(told[1]))
    return min(found, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
