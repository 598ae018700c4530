"""Records as a table: nothing is lost, and every column says what it holds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tables import content_digest, encode_table, read_table
from stages.prompt.measure import measure, records_from, records_table
from stages.prompt.record import (
    EMPTY,
    FAILED,
    OK,
    Hygiene,
    PoudelMeasures,
    Record,
    Region,
    TganetMeasures,
)

PIXELS = st.integers(0, 2**31 - 1)
LARGE = st.integers(0, 2**62)
NUMBERS = st.floats(allow_nan=False)
BOXES = st.tuples(PIXELS, PIXELS, PIXELS, PIXELS)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
REGIONS = st.builds(
    Region,
    area=LARGE,
    box=BOXES,
    centroid=st.tuples(NUMBERS, NUMBERS),
    cells=st.tuples(*[LARGE] * 9),
    equivalent_diameter=NUMBERS,
    eccentricity=NUMBERS,
    solidity=NUMBERS,
    circularity=NUMBERS,
    euler=st.integers(-(2**31), 2**31 - 1),
    touches_border=st.booleans(),
    colour=st.none() | TEXT,
    contrast=st.none() | NUMBERS,
)
RECORDS = st.builds(
    Record,
    sample=TEXT,
    target=TEXT,
    status=st.sampled_from([OK, EMPTY, FAILED]),
    error=TEXT,
    height=PIXELS,
    width=PIXELS,
    whole=st.none() | REGIONS,
    regions=st.lists(REGIONS, max_size=3).map(tuple),
    instances=st.booleans(),
    hygiene=st.none()
    | st.builds(
        Hygiene,
        levels=PIXELS,
        fringe=LARGE,
        specks=PIXELS,
        findings=st.lists(TEXT, max_size=3).map(tuple),
    ),
    poudel=st.none()
    | st.builds(
        PoudelMeasures,
        coverages=st.lists(NUMBERS, max_size=3).map(tuple),
        places=st.lists(TEXT, max_size=3).map(tuple),
        box=BOXES,
    ),
    tganet=st.none() | st.builds(TganetMeasures, boxes=PIXELS, last_box_share=NUMBERS),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(RECORDS, max_size=4))
def test_records_come_back_as_they_were(records):
    """Any records, failed and empty ones among them."""
    assert records_from(records_table(records)) == records


def test_records_come_back_from_a_parquet_file(tmp_path):
    """Measured records, written and read; the content's digest stays the same."""
    rng = np.random.default_rng(3)
    masks = [(rng.random((30, 40)) < p).astype(np.uint8) * 255 for p in (0.0, 0.1, 0.6, 1.0)]
    image = rng.integers(0, 256, (30, 40, 3), np.uint8)
    records = [measure(f"s{n}", "t", mask, image=image) for n, mask in enumerate(masks)]
    table = records_table(records)
    file = tmp_path / "records.parquet"
    file.write_bytes(encode_table(table))
    again = read_table(file)
    assert records_from(again) == records
    assert content_digest(again, {}) == content_digest(table, {})


def test_numbers_of_a_record_are_python_values():
    """So that a record compares, prints and goes into JSON as any other value."""
    mask = np.zeros((90, 90), np.uint8)
    mask[10:80, 10:80] = 255
    record = measure("s", "t", mask, image=np.zeros((90, 90, 3), np.uint8))
    for part in (record.whole, record.poudel, record.tganet, record.hygiene):
        for name in part.__dataclass_fields__:
            value = getattr(part, name)
            for one in value if isinstance(value, tuple) else (value,):
                assert type(one) in {int, float, bool, str, type(None)}, name


def test_other_columns_are_left_alone():
    """A table with more columns, as an index has, gives the same records."""
    records = [measure("s", "t", np.full((4, 4), 255, np.uint8))]
    table = records_table(records).append_column("more", pa.array([1]))
    assert records_from(table) == records


def test_every_column_states_its_unit_and_meaning():
    """As all tables do."""
    for field in records_table([]).schema:
        assert set(field.metadata) == {b"unit", b"meaning"}
        assert field.metadata[b"meaning"]
