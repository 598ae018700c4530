"""Leases: who works on what in a folder that processes of several hosts share.

A lease is a small file that says who holds it, with a counter that its holder raises every few
seconds. It appears with its content, by a hard link, which no file system gives to two. A holder on
this host is asked for by its process; of one elsewhere a reader watches the counter on its own
clock, as clocks of hosts differ and process ids mean nothing between them. What is found dead is
taken over.

No correctness depends on leases. Two may hold one for a moment, where a holder was paused for so
long that it was taken for dead; then both do the same work, and it is published once.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

SCHEMA = "medshards/lease/1"
BEAT_SECONDS = 5.0
"""Time between two beats of a holder."""
SILENT_BEATS = 12
"""Missed beats after which a holder elsewhere is taken for dead: a minute."""

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    host: str
    place: str
    """The running system and its space of process ids; empty where they cannot be told."""
    pid: int
    started: str
    """When the process began, in the system's own count; a later one with its id has another."""
    token: str
    """Of this lease alone."""

    @property
    def is_here(self) -> bool:
        """Whether this system can be asked for the process."""
        return self.host == socket.gethostname() and self.place == _place()

    @property
    def runs(self) -> bool | None:
        """Whether a process that is here lives; None if its id does and more cannot be told."""
        if not _has_process(self.pid):
            return False
        started = _started(self.pid)
        return None if not started else started == self.started


@dataclass(eq=False, slots=True)
class Lease:
    """A lease that this process holds."""

    path: Path
    token: str

    def beat(self, number: int) -> None:
        """Show that the holder lives, if the lease is still its own."""
        with contextlib.suppress(OSError):
            # By its name: on network file systems others see what is written once it is closed.
            file = os.open(self.path, os.O_RDWR)
            try:
                if _read(file)[0] == self.token:
                    os.pwrite(file, _counter(number), 0)
            finally:
                os.close(file)

    def release(self) -> None:
        """Give the lease up, unless another has taken it over."""
        _beating.remove(self)
        with contextlib.suppress(OSError):
            if _content(self.path)[0] == self.token:
                self.path.unlink()


@dataclass
class Leases:
    """Takes leases, and remembers the beats of those that others hold elsewhere."""

    clock: Callable[[], float] = time.monotonic
    """Seconds, never set back; of this reader alone."""
    silence: float = BEAT_SECONDS * SILENT_BEATS
    """Seconds without a beat after which a holder elsewhere is taken for dead."""
    _seen: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def take(self, path: Path) -> Lease | None:
        """Return the lease at `path`, or None while another holds it.

        Its folder must exist, and may for a moment hold other files, too.
        """
        lease = _create(path)
        if lease is None and self.clear(path):
            lease = _create(path)
        if lease is not None:
            _beating.add(lease)
        return lease

    def is_live(self, path: Path) -> bool:
        """Tell whether a living process holds the lease at `path`; not if there is none.

        A holder elsewhere counts as living until it was seen silent for long enough.
        """
        try:
            token, beat, holder = _content(path)
        except OSError as error:
            return not isinstance(error, FileNotFoundError)
        if holder is not None and holder.is_here and (runs := holder.runs) is not None:
            return runs
        return not self._silent(token, beat)

    def clear(self, path: Path) -> bool:
        """Take away the lease at `path` if its holder is dead; return whether there is none now.

        If a living one comes in its place meanwhile, that is given back.
        """
        if self.is_live(path):
            return False
        aside = path.with_name(f"{os.urandom(12).hex()}.dead")
        try:
            path.rename(aside)
        except FileNotFoundError:  # another was faster
            return True
        try:
            if live := self.is_live(aside):
                with contextlib.suppress(OSError):
                    os.link(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        return not live

    def settled(self, paths: Iterable[Path]) -> list[Path]:
        """Return those leases that living processes hold, waiting until it is certain of each."""
        waiting, live = list(paths), []
        before = {path: _beat_of(path) for path in waiting}
        while waiting:
            waiting = [path for path in waiting if self.is_live(path)]
            certain = [p for p in waiting if _is_here(p) or _beat_of(p) != before[p]]
            live += certain
            waiting = [path for path in waiting if path not in certain]
            if waiting:
                time.sleep(min(1.0, self.silence / 10))
        return live

    def _silent(self, token: str, beat: bytes) -> bool:
        now = self.clock()
        last, since = self._seen.get(token, (None, now))
        if last != beat:
            self._seen[token] = beat, now
            return False
        return now - since > self.silence


def _create(path: Path) -> Lease | None:
    """Return a new lease at `path`; None if there is one."""
    token = os.urandom(12).hex()
    staged = path.with_name(f"{token}.new")
    data = _counter(0) + b"\n" + json.dumps(_this_process() | {"token": token}).encode() + b"\n"
    try:
        _write_new(staged, data)
        try:
            os.link(staged, path)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _write_new(path, data)
    except FileExistsError:
        return None
    finally:
        staged.unlink(missing_ok=True)
    return Lease(path, token)


def _write_new(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def _content(path: Path) -> tuple[str, bytes, Holder | None]:
    """Return token, beat and holder of a lease file.

    One that says nothing yet, or that another version wrote, has no holder, and itself as token.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        token, beat, fields = _read(file)
        status = os.fstat(file)
    finally:
        os.close(file)
    names = ("host", "place", "pid", "started")
    if not token or any(name not in fields for name in names):
        return f"file {status.st_ino}", beat + b"%d" % status.st_size, None
    return token, beat, Holder(**{name: fields[name] for name in names}, token=token)


def _read(file: int) -> tuple[str, bytes, dict[str, Any]]:
    """Return token, beat and all fields of an open lease file; no token where it has none."""
    data = os.pread(file, 4096, 0)
    beat, _, text = data.partition(b"\n")
    fields: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        found = json.loads(text)
        fields = found if isinstance(found, dict) and found.get("schema") == SCHEMA else {}
    return str(fields.get("token", "")), beat, fields


def _beat_of(path: Path) -> bytes:
    with contextlib.suppress(OSError):
        return _content(path)[1]
    return b""


def _is_here(path: Path) -> bool:
    with contextlib.suppress(OSError):
        holder = _content(path)[2]
        return holder is not None and holder.is_here and holder.runs is not None
    return False


def _counter(number: int) -> bytes:
    return str(number).zfill(_DIGITS).encode()


def _this_process() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "place": _place(),
        "pid": pid,
        "started": _started(pid),
    }


@lru_cache(maxsize=1)
def _place() -> str:
    """Return what names this running system, and the space in which its process ids mean anything.

    Linux alone says both; elsewhere the host's name must do.
    """
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _has_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _started(pid: int) -> str:
    """Return when a process began; "ended" of one that nobody has waited for, else empty."""
    try:
        # The name, in brackets, may hold anything; state is the first field after it.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *rest = fields.rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "ended" if state in {"Z", "X"} else rest[18]


class _Beating:
    """The leases that this process holds, and the thread that keeps them alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: set[Lease] = set()
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()

    def add(self, lease: Lease) -> None:
        """Keep a lease alive from now on."""
        with self._lock:
            self._leases.add(lease)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()

    def remove(self, lease: Lease) -> None:
        """Keep a lease alive no longer."""
        with self._lock:
            self._leases.discard(lease)

    def _run(self) -> None:
        number = 0
        while not self._wake.wait(BEAT_SECONDS):
            number += 1
            with self._lock:
                leases = list(self._leases)
                if not leases:
                    self._thread = None
                    return
            for lease in leases:
                lease.beat(number)


_beating = _Beating()


def _after_fork() -> None:
    """Leave what the parent holds to the parent; its thread does not run here."""
    global _beating  # noqa: PLW0603 - the lock may be held by a thread that is not here
    _beating = _Beating()


os.register_at_fork(after_in_child=_after_fork)
