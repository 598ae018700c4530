"""Signing a file with `ssh-keygen`, which most people have along with a key."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from pipeline.errors import PipelineError, UsageError, VerificationError

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
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_bytes(data)
        answer = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, str(path))
        if answer.returncode:
            message = f"{key}: ssh-keygen could not sign: {_last_line(answer.stderr)}"
            raise PipelineError(message)
        return path.with_name(f"data{SUFFIX}").read_bytes()


def require_signed(data: bytes, signature: Path, signers: Path, who: str) -> None:
    """Refuse data that is not signed by somebody who is allowed to.

    Parameters
    ----------
    signers
        File of allowed signers, as described in ssh-keygen(1): ``<who> <public key>`` per line.

    Raises
    ------
    VerificationError
        If the signature is missing, another's or of other data.
    """
    answer = _ssh_keygen(
        "verify", "-f", str(signers), "-I", who, "-n", NAMESPACE, "-s", str(signature), data=data
    )
    if answer.returncode:
        message = f"{signature}: not signed by {who}: {_last_line(answer.stderr + answer.stdout)}"
        raise VerificationError(message)


def _ssh_keygen(
    action: str, *arguments: str, data: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        message = "ssh-keygen is not installed: it comes with OpenSSH"
        raise PipelineError(message)
    return subprocess.run(  # noqa: S603 - an existing tool, with no shell between
        [program, "-Y", action, *arguments],
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        check=False,
    )


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
