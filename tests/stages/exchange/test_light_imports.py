"""The formats load no heavy library before they write."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("PIL", "pyarrow", "zarr", "torch", "datasets", "webdataset", "xarray")


def test_the_table_of_formats_is_light() -> None:
    """Listing formats and layouts loads none of the libraries that read or write images."""
    code = (
        "import sys, stages.exchange.formats, stages.exchange.importing.layouts;"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
