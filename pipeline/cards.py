"""The Hugging Face dataset card of a published artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.artifact import INDEX, Manifest

_HUB_LICENCES = frozenset(
    {
        "apache-2.0",
        "mit",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "odbl",
        "odc-by",
        "pddl",
        "bsd-3-clause",
    }
)


def card(manifest: Manifest, licences: Sequence[Mapping[str, Any]], description: str) -> str:
    """Return a Hugging Face dataset card: metadata in YAML, then how to read the artifact."""
    names = sorted({str(one["licence"]["spdx"]).lower() for one in licences if one["licence"]})
    rows = manifest.rows
    bounds = (1_000, 10_000, 100_000, 1_000_000)
    words = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
    metadata: dict[str, Any] = {
        # JSON is YAML; a name that the Hub does not know must be given as "other".
        "license": names[0] if len(names) == 1 and names[0] in _HUB_LICENCES else "other",
        "license_name": ", ".join(names) or "none stated",
        "pretty_name": manifest.label,
        "size_categories": [words[sum(rows >= bound for bound in bounds)]],
        "tags": ["croissant", manifest.stage, *(["synthetic"] if is_synthetic(licences) else [])],
        "configs": [{"config_name": "index", "data_files": f"{INDEX}/*.parquet"}],
    }
    lines = ["---", *(f"{key}: {json.dumps(value)}" for key, value in metadata.items()), "---", ""]
    lines += [f"# {manifest.label}", "", description, ""]
    lines += ["`sha256sum -c SHA256SUMS` checks every file. The index is Parquet:", ""]
    lines += ["```python", "import pyarrow.parquet", 'pyarrow.parquet.read_table("index")']
    for name in manifest.arrays:
        lines += ["import zarr", f'zarr.open("{name}", mode="r")']
    for name in manifest.mixed:
        lines += [
            "import zarr",
            f'zarr.open("{name}/00000", mode="r")  # whole items, back to back',
        ]
    lines += ["```", "", "## Licences", ""]
    for one in licences:
        licence = one["licence"] or {}
        lines.append(
            f"* {one['dataset']} ({one['title']}): {licence.get('spdx')}; may be passed on at "
            f"most: {licence.get('redistribution')}; read in: "
            f"{' '.join(str(licence.get('source')).split())}"
        )
        if licence.get("share_alike"):
            lines.append("  Share-alike: whatever is made of it must carry the same licence.")
    if not licences:
        lines.append("None is stated.")
    cited = [" ".join(str(one["citation"]).split()) for one in licences if one["citation"]]
    lines += ["", "## Citation", "", *(cited or ["None is stated."])]
    return "\n".join(lines) + "\n"


def is_synthetic(licences: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether all images were computed, as their datasets say."""
    return bool(licences) and all(one["synthetic"] for one in licences)
