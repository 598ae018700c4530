"""Loops compiled by numba on first use, kept on disk under a digest of all kernel sources."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import tempfile
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import blake3

P = ParamSpec("P")
R = TypeVar("R")

_COMPILING = threading.RLock()
_COMPILERS: dict[Callable[..., Any], Callable[[], Callable[..., Any]]] = {}


def compiled(signature: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function for one numba `signature` when it is first called.

    Importing a kernel stays light, since numba is loaded by the first call. A compiled function may
    call others, which become part of its machine code. The code runs without the GIL. Fast-math
    stays off, so nothing is reordered and no multiply and add are fused: the result does not depend
    on the processor. Input arrays are declared read-only in signatures,
    so that read-only and writable images run the same code.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        machine_code: Callable[P, R] | None = None

        def compile_once() -> Callable[P, R]:
            nonlocal machine_code
            with _COMPILING:
                # Another thread may have compiled it meanwhile.
                if machine_code is None:
                    machine_code = _compile(_linked(function), signature)
            return machine_code

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return (machine_code or compile_once())(*args, **kwargs)

        _COMPILERS[call] = compile_once
        return call

    return decorate


def _linked(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` with the compiled functions it calls in place of their Python wrappers."""
    code = cast("types.FunctionType", function).__code__
    names = cast("types.FunctionType", function).__globals__
    called = [name for name in code.co_names if names.get(name) in _COMPILERS]
    machine_code = {name: _COMPILERS[names[name]]() for name in called}
    linked = types.FunctionType(code, names | machine_code, code.co_name)
    return cast("Callable[P, R]", functools.update_wrapper(linked, function))


def _compile(function: Callable[P, R], signature: str) -> Callable[P, R]:
    import numba

    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False}
    settings: Any = numba.config
    configured = settings.CACHE_DIR
    folder = cache_folder(configured, numba.__version__)
    if folder is None:
        return cast("Callable[P, R]", numba.njit(signature, **options)(function))
    # numba reads its cache folder from global configuration while it decorates; other code's
    # cached functions must not move, so the setting is put back at once.
    settings.CACHE_DIR = str(folder)
    try:
        jitted = numba.njit(signature, cache=True, **options)(function)
    except OSError:  # the disk filled up, or the folder went away
        jitted = numba.njit(signature, **options)(function)
    finally:
        settings.CACHE_DIR = configured
    return cast("Callable[P, R]", jitted)


@functools.lru_cache
def cache_folder(configured: str, numba_version: str) -> Path | None:
    """Return the folder of the compiled kernels, or None where none can be written.

    It lies below `configured` (numba's own setting) or the user's cache folder. Where that cannot
    be written it is a private folder of temporary files, which begins with what the other one
    holds. The digest in its name covers every kernel source, since numba's index misses edits in
    imported modules.
    """
    name = f"kernels-{_sources_digest(numba_version)}"
    try:
        folder = _cache_base(configured) / name
    except RuntimeError:  # there is no home at all
        folder = Path(os.devnull) / name
    if _writable(folder):
        return folder
    private = Path(tempfile.gettempdir()) / f"medshards-{os.getuid()}"
    return private / name if _own(private) and _filled(private / name, folder) else None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _own(folder: Path) -> bool:
    """Make a folder that nobody else can write to; whether it is one: code is loaded from it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _filled(folder: Path, source: Path) -> bool:
    """Make `folder`, at first with the content of `source`; whether it can be written."""
    if source.is_dir() and not folder.exists():
        with contextlib.suppress(OSError):  # another process was first, or the disk is full
            copied = Path(tempfile.mkdtemp(dir=folder.parent))
            shutil.copytree(source, copied, dirs_exist_ok=True)
            copied.rename(folder)
    return _writable(folder)


def _cache_base(configured: str) -> Path:
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "medshards"


def _sources_digest(numba_version: str) -> str:
    hasher = blake3.blake3(numba_version.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        hasher.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest(length=8)
