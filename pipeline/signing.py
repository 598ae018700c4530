"""Signing a file with `ssh-keygen`, which most people have along with a key."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.errors import PipelineError, UsageError

NAMESPACE = "medshards"
"""What a signature is for; one made for other purposes is not valid here."""

SUFFIX = ".sig"


def sign(data: bytes, key: Path) -> bytes:
    """Return the detached signature of `data` by a private SSH key (or by a public one's agent).

    ``ssh-keygen -Y verify -f ALLOWED_SIGNERS -I WHO -n medshards -s FILE.sig < FILE`` checks it.

    Raises
    ------
    UsageError
        If there is no such key.
    PipelineError
        If `ssh-keygen` is not installed or refuses.
    """
    if not key.is_file():
        message = f"--sign-key {key}: there is no such file; make one with `ssh-keygen -t ed25519`"
        raise UsageError(message)
    program = shutil.which("ssh-keygen")
    if program is None:
        message = "ssh-keygen is not installed: it comes with OpenSSH"
        raise PipelineError(message)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_bytes(data)
        command = [program, "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)]
        answer = subprocess.run(  # noqa: S603 - an existing tool, with no shell between
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if answer.returncode:
            message = f"{key}: ssh-keygen could not sign: {_last_line(answer.stderr)}"
            raise PipelineError(message)
        return path.with_name(f"data{SUFFIX}").read_bytes()


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
