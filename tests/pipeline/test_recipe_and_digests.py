"""Identity: recipe keys, content digests and documents that carry a checksum."""

from __future__ import annotations

import dataclasses
import json
import string
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.digest import canonical_json, digest_bytes, digest_file, digest_json
from pipeline.documents import parse_document, read_document, seal_document
from pipeline.errors import VerificationError
from pipeline.recipe import Recipe, SealedRecipe
from pipeline.shards import ItemSpec
from pipeline.store import Store
from pipeline.tables import column, content_digest, encode_table, joined_bytes, read_table
from tests.pipeline.toy import SUMS, Numbers, Sums, Toy, build, digests_of

GOLDEN_KEY = "41b4a2e25a645663c51d3785a8c34e49e965378dc00aedd49fc935d95ccf423c"
GOLDEN_CONTENT = "13c5382e69257e51cf0e00c89b8d19761dc02cb4245348ecce853907216676a7"
GOLDEN_WITH_MIXED = "ceb849b7802250ad9f500ca969c4650dd97d8ee39767056ee80c5eb966b0e825"

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)
names = st.text(string.ascii_lowercase, min_size=1, max_size=4)
parameter_sets = st.dictionaries(names, scalars, max_size=4)


def reordered(value: Any) -> Any:
    """Return an equal value whose mappings are in the opposite order."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_canonical_json_ignores_order(value: Any) -> None:
    """Mappings that are equal have the same bytes, which read back as the value."""
    assert canonical_json(value) == canonical_json(reordered(value))
    assert json.loads(canonical_json(value)) == value


@given(values, values)
def test_canonical_json_tells_values_apart(one: Any, other: Any) -> None:
    """Different JSON values have different bytes."""
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert canonical_json(one) != canonical_json(other)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_cannot_say_are_refused(number: float) -> None:
    """NaN and infinities have no canonical form."""
    with pytest.raises(ValueError, match="JSON"):
        digest_json({"value": number})


@given(stage=names, name=names, version=st.integers(1, 99), parameters=parameter_sets)
def test_a_key_follows_from_stage_version_parameters_and_inputs_alone(
    stage: str, name: str, version: int, parameters: dict[str, Any]
) -> None:
    """Equal recipes have equal keys, whatever they are called and in whatever order declared."""
    source = Recipe("sources", "a", 1, {"file": "a"})
    recipe = Recipe(stage, name, version, parameters, {"images": source})
    same = Recipe(
        stage,
        f"{name}/other",
        version,
        reordered(parameters),
        {"images": dataclasses.replace(source, name="b")},
    )
    assert recipe.key == same.key
    assert len(recipe.key) == 64


@given(
    parameters=parameter_sets,
    other=parameter_sets,
    version=st.integers(1, 9),
    raised=st.integers(1, 9),
)
def test_a_key_changes_with_every_part(
    parameters: dict[str, Any], other: dict[str, Any], version: int, raised: int
) -> None:
    """Another stage, version, parameter, input or role of an input is another key."""
    source = Recipe("sources", "a", 1, {})
    recipe = Recipe("stage", "name", version, parameters, {"images": source})
    changed = [
        dataclasses.replace(recipe, stage="stages"),
        dataclasses.replace(recipe, inputs={}),
        dataclasses.replace(recipe, inputs={"masks": source}),
        dataclasses.replace(recipe, inputs={"images": dataclasses.replace(source, version=2)}),
        dataclasses.replace(recipe, inputs={"images": source, "masks": source}),
        dataclasses.replace(recipe, parameters={**parameters, "Added": None}),
    ]
    if raised != version:
        changed.append(dataclasses.replace(recipe, version=raised))
    if canonical_json(other) != canonical_json(parameters):
        changed.append(dataclasses.replace(recipe, parameters=other))
    keys = [recipe.key, *(one.key for one in changed)]
    assert len(set(keys)) == len(keys)


def test_resources_do_not_enter_the_key() -> None:
    """Shard size, tolerance and what a stage is given besides parameters are no identity."""
    plain = Toy()
    other = Toy(
        rows=7,
        numbers_slots=2,
        sums_slots=1,
        tolerance=0.5,
        numbers_stage=Numbers(parallel=False),
        sums_stage=Sums(parallel=False),
    )
    for one, same in zip(plain.nodes(), other.nodes(), strict=True):
        assert one.recipe.key == same.recipe.key


def test_a_content_key_covers_the_contents_of_inputs_and_not_their_recipes() -> None:
    """Equal contents of differently made inputs give equal content keys."""
    old, new = Toy().sums("odd").recipe, Toy(numbers_version=2).sums("odd").recipe
    assert old.key != new.key
    assert old.content_key({"numbers": "a"}) == new.content_key({"numbers": "a"})
    assert old.content_key({"numbers": "a"}) != old.content_key({"numbers": "b"})
    assert old.content_key({"numbers": "a"}) != Toy().sums("even").recipe.content_key(
        {"numbers": "a"}
    )


def test_keys_and_content_digests_are_pinned(built: Path, tmp_path: Path) -> None:
    """These never change; if one does, every store that exists must be built again."""
    assert Toy().sums("odd").recipe.key == GOLDEN_KEY
    plain = Toy(numbers_stage=Numbers(pieces=False))
    build(tmp_path, [plain.numbers()]).raise_failures()
    assert digests_of(tmp_path)["numbers/toy/0"][0] == GOLDEN_CONTENT
    assert digests_of(built)["numbers/toy/0"][0] == GOLDEN_WITH_MIXED


@pytest.mark.parametrize(("numbers_slots", "sums_slots"), [(1, 7), (2, 3), (7, 1)])
def test_content_digests_do_not_depend_on_shard_size(
    numbers_slots: int, sums_slots: int, built: Path, tmp_path: Path
) -> None:
    """The same content in other shards has the same digest."""
    build(
        tmp_path, Toy(numbers_slots=numbers_slots, sums_slots=sums_slots).targets()
    ).raise_failures()
    expected = {label: digest for label, (digest, _) in digests_of(built).items()}
    assert {label: digest for label, (digest, _) in digests_of(tmp_path).items()} == expected


KINDS = {
    "text": (pa.string(), st.text(max_size=5)),
    "raw": (pa.binary(), st.binary(max_size=5)),
    "digest": (pa.binary(4), st.binary(min_size=4, max_size=4)),
    "flag": (pa.bool_(), st.booleans()),
    "small": (pa.int8(), st.integers(-128, 127)),
    "large": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "half": (pa.float16(), st.floats(width=16, allow_nan=False)),
    "single": (pa.float32(), st.floats(width=32, allow_nan=False)),
    "double": (pa.float64(), st.floats(allow_nan=False)),
    "list": (pa.list_(pa.int32()), st.lists(st.integers(-5, 5), max_size=3)),
    "texts": (pa.list_(pa.string()), st.lists(st.none() | st.text(max_size=2), max_size=3)),
    "vector": (pa.list_(pa.float32(), 2), st.tuples(*[st.floats(-1, 1, width=32)] * 2).map(list)),
}
"""A column of every kind a table may have: its type and its values."""


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Draw a table with a few columns, missing values included."""
    rows = draw(st.integers(0, 5))
    chosen = draw(st.lists(st.sampled_from(list(KINDS)), unique=True, min_size=1, max_size=4))
    columns = {}
    for name in chosen:
        kind, cells = KINDS[name]
        drawn = draw(st.lists(st.none() | cells, min_size=rows, max_size=rows))
        if name == "half":
            drawn = [None if cell is None else np.float16(cell) for cell in drawn]
        columns[name] = pa.array(drawn, kind)
    return pa.table(columns)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), cuts=st.lists(st.integers(0, 5), max_size=3), data=st.data())
def test_content_digests_do_not_depend_on_chunks_or_files(
    table: pa.Table, cuts: list[int], data: st.DataObject, tmp_path: Path
) -> None:
    """Chunks, column order, Parquet's row groups, compression and dictionaries change nothing."""
    expected = content_digest(table, {})
    edges = sorted({0, table.num_rows, *(min(cut, table.num_rows) for cut in cuts)})
    parts = [table.slice(a, b - a) for a, b in pairwise(edges)] or [table]
    chunked = pa.concat_tables(parts)
    assert content_digest(chunked, {}) == expected
    shuffled = data.draw(st.permutations(table.column_names))
    assert content_digest(chunked.select(shuffled), {}) == expected
    path = tmp_path / "table.parquet"
    size, codec = (
        data.draw(st.integers(1, 5)),
        data.draw(st.sampled_from(["none", "snappy", "zstd"])),
    )
    plain = data.draw(st.booleans())
    pq.write_table(chunked, path, row_group_size=size, compression=codec, use_dictionary=plain)
    assert content_digest(read_table(path), {}) == expected
    path.write_bytes(encode_table(chunked))
    assert content_digest(read_table(path), {}) == expected


@settings(deadline=None)
@given(one=tables(), other=tables())
def test_content_digests_tell_tables_apart(one: pa.Table, other: pa.Table) -> None:
    """Other values, names, types or a missing value instead of an empty one: another digest."""
    same = sorted(one.column_names) == sorted(other.column_names) and one.equals(
        other.select(one.column_names)
    )
    if not same:
        assert content_digest(one, {}) != content_digest(other, {})


def test_a_missing_value_is_none_of_the_others() -> None:
    """Null, zero, false and the empty text are four things."""
    for kind, empty in [
        (pa.string(), ""),
        (pa.int32(), 0),
        (pa.bool_(), False),
        (pa.float64(), 0.0),
    ]:
        digests = {
            content_digest(pa.table([pa.array([v], kind)], ["a"]), {}) for v in (None, empty)
        }
        assert len(digests) == 2


def test_a_content_digest_covers_the_types_of_arrays() -> None:
    """Items of another dtype or shape with equal digests are other content."""
    table = pa.table({"id": ["a"]})
    specs = [ItemSpec("uint8", (2, 3)), ItemSpec("uint8", (3, 2)), ItemSpec("int8", (2, 3))]
    digests = {content_digest(table, {"images": spec}) for spec in specs}
    digests |= {content_digest(table, {}), content_digest(table, {"masks": specs[0]})}
    assert len(digests) == 5


def test_a_column_without_a_canonical_form_is_refused() -> None:
    """A kind of column whose digest would be a guess is an error."""
    with pytest.raises(TypeError, match="timestamp"):
        content_digest(pa.table({"when": pa.array([0], pa.timestamp("s"))}), {})


def test_columns_state_unit_and_meaning(built: Path) -> None:
    """What a stage declares and what the engine adds is read back from the file."""
    index = Store(built).artifact(Toy().numbers().recipe).index()
    assert index.schema.names == [
        *("id", "label", "group", "pixels_blake3", "floats_blake3"),
        *(f"pieces_{what}" for what in ("offset", "height", "width", "channels", "blake3")),
    ]
    for field in index.schema:
        assert set(field.metadata) == {b"unit", b"meaning"}
    assert column("size", pa.int64(), "byte", "length").metadata[b"unit"] == b"byte"


def test_the_index_holds_the_digest_of_every_item(built: Path) -> None:
    """The digest columns are the blake3 of the raw bytes of the items."""
    artifact = Store(built).artifact(Toy().numbers().recipe)
    for name in ("pixels", "floats"):
        digests = artifact.index([f"{name}_blake3"])[0].to_pylist()
        items = artifact.array(name)
        assert [bytes.fromhex(digest_bytes(item.tobytes())) for item in items] == digests
    digests = artifact.index(["pieces_blake3"])[0].to_pylist()
    pieces = artifact.mixed("pieces")
    assert [bytes.fromhex(digest_bytes(item.tobytes())) for item in pieces] == digests


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    """A file is digested in pieces to the same digest."""
    data = bytes(range(256)) * 40_000
    (tmp_path / "file").write_bytes(data)
    assert digest_file(tmp_path / "file") == digest_bytes(data)


documents = st.dictionaries(names, values, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents)
def test_a_document_reads_back(document: dict[str, Any], tmp_path: Path) -> None:
    """What was sealed is read without its checksum."""
    path = tmp_path / "document.json"
    path.write_bytes(seal_document(document))
    assert read_document(path) == {k: v for k, v in document.items() if k != "checksum"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary() | st.text().map(str.encode) | values.map(lambda v: json.dumps(v).encode()))
def test_any_other_bytes_are_no_document(data: bytes, tmp_path: Path) -> None:
    """Whatever a file holds instead is one clear error."""
    path = tmp_path / "document.json"
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="checksum"):
        read_document(path)


def test_letters_stand_for_themselves() -> None:
    """In keys and in files that people read, no letter is written as an escape."""
    assert canonical_json({"größe": "é"}) == '{"größe":"é"}'.encode()
    assert '"größe": "é"' in seal_document({"größe": "é"}).decode()


def test_another_layout_is_no_document_where_it_must_be_exact() -> None:
    """Equal values in another layout are the document only for a reader that allows it."""
    for number in range(16):  # checksums above and below one another
        document = {"a": number, "b": [1.5, "x"]}
        sealed = seal_document(document)
        for data in (b" " + sealed, sealed + b" ", json.dumps(json.loads(sealed)).encode()):
            with pytest.raises(VerificationError, match=r"^here: its checksum does not match"):
                parse_document(data, "here")
            assert parse_document(data, "here", exact=False) == document
        changed = sealed.replace(b'"x"', b'"y"')
        for exact in (True, False):
            with pytest.raises(VerificationError):
                parse_document(changed, "here", exact=exact)


def test_a_document_is_read_exactly_unless_said_otherwise(tmp_path: Path) -> None:
    """`read_document` compares every byte by default."""
    path = tmp_path / "document.json"
    path.write_bytes(seal_document({"a": 1}) + b" ")
    assert read_document(path, exact=False) == {"a": 1}
    with pytest.raises(VerificationError, match=r"document\.json: its checksum"):
        read_document(path)


def test_a_sealed_recipe_has_the_key_of_its_manifest() -> None:
    """It is not computed from what is known of it; recipes are compared by identity."""
    parts: dict[str, Any] = {"stage": "s", "name": "n", "version": 1, "parameters": {}}
    sealed = SealedRecipe(**parts, sealed_key="0" * 64)
    assert sealed.key == "0" * 64
    assert Recipe(**parts).key not in {sealed.key, ""}
    assert Recipe(**parts) != Recipe(**parts)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sealed.version = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "text", ['{"checksum": "0", "seconds": NaN}', '{"checksum": "", "a": "\\ud800"}']
)
def test_values_that_cannot_be_sealed_are_no_document(text: str, tmp_path: Path) -> None:
    """Numbers and texts that no document can hold are the same clear error."""
    (tmp_path / "document.json").write_text(text)
    with pytest.raises(VerificationError, match="checksum"):
        read_document(tmp_path / "document.json")


def test_kinds_of_sums_have_keys_of_their_own() -> None:
    """A parameter alone tells two artifacts apart."""
    assert len({Toy().sums(kind).recipe.key for kind in SUMS}) == len(SUMS)


@given(
    values=st.lists(st.none() | st.text(max_size=5), max_size=12),
    start=st.integers(0, 6),
    cut=st.integers(0, 12),
)
def test_joined_bytes_are_those_of_the_values_one_by_one(
    values: list[str | None], start: int, cut: int
) -> None:
    """However a column is sliced and cut into chunks, its bytes are those of its values."""
    pieces = pa.chunked_array(
        [pa.array(values[:cut], pa.string()), pa.array(values[cut:], pa.string())]
    ).slice(start)
    expected = b"".join(value.encode() for value in values[start:] if value is not None)
    assert bytes(joined_bytes(pieces)) == expected
    digests = [None if value is None else digest_json(value)[:32].encode() for value in values]
    fixed = pa.array(digests, pa.binary(32)).slice(start)
    assert bytes(joined_bytes(fixed)) == b"".join(d for d in digests[start:] if d is not None)
