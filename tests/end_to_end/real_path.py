"""What the README says of a dataset that a user adds."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
V1_COUNT, V3_COUNT = "train = 3882", "train = 4708"


def documented() -> tuple[str, list[str]]:
    """Return the manifest of the README's section on adding a dataset, and its commands."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", README.read_text(), flags=re.DOTALL | re.MULTILINE)
    (manifest,) = [text for kind, text in blocks if kind == "toml" and V1_COUNT in text]
    (commands,) = [text for _, text in blocks if "--datasets pneumoniamnist-v1 --from" in text]
    return manifest, commands.splitlines()


def declare(folder: Path, manifest: str) -> None:
    """Write the user's manifest where the documented `--manifests my` finds it from `folder`."""
    file = folder / "my" / "datasets" / "pneumoniamnist-v1.toml"
    file.parent.mkdir(parents=True)
    file.write_text(manifest)
