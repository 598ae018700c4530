"""The columns of the results, summary and comparisons tables, each with a unit and a meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

Kind: TypeAlias = Literal["text", "integer", "integers", "number", "flag"]


class Column(NamedTuple):
    """One column."""

    name: str
    kind: Kind
    unit: str
    """`1` for a fraction, ratio or count without a unit of its own; empty for text and flags."""
    meaning: str


_SUITE = Column("suite", "text", "", "corruption suite")
_DATASET = Column("dataset", "text", "", "dataset")
_SPLIT = Column("split", "text", "", "split that was evaluated")
_ENCODER = Column("encoder", "text", "", "encoder of the images")
_PROTOCOL = Column("protocol", "text", "", "how embeddings became class scores")
_TEMPLATE = Column("template", "text", "", "named set of prompt templates; null without texts")
_PROMPTS = Column("prompts", "text", "", "named set of class prompts; null without texts")
_K = Column("k", "integer", "samples", "train samples per class; null for all")
_FRACTION = Column("fraction", "number", "1", "share of the train samples; null for all")
_SEED = Column("seed", "integer", "1", "seed of whatever the protocol draws")
_N = Column("n", "integer", "samples", "number of samples in each set")
_LOW = Column("ci_low", "number", "1", "lower end of the bootstrap interval; null if undefined")
_HIGH = Column("ci_high", "number", "1", "upper end of the bootstrap interval; null if undefined")
_BOOTSTRAP = (
    Column("confidence", "number", "1", "share of resamples within the interval"),
    Column("resamples", "integer", "resamples", "number of bootstrap resamples"),
    Column("bootstrap_seed", "integer", "1", "seed of the resampling stream"),
    Column("resampled_by", "text", "", "what was resampled: patient or image"),
    Column("units", "integer", "1", "number of patients or images resampled from"),
)

RESULT_COLUMNS: tuple[Column, ...] = (
    _SUITE,
    _DATASET,
    _SPLIT,
    Column("corruption", "text", "", "corruption; clean for the split as it is"),
    Column("severity", "integer", "1", "severity from 1 to 5; 0 for the split as it is"),
    _ENCODER,
    _PROTOCOL,
    _TEMPLATE,
    _K,
    _FRACTION,
    _SEED,
    Column("metric", "text", "", "name of the metric; recall/<class id> for the recall of a class"),
    Column("value", "number", "1", "the metric, a fraction (nll in nats); null if undefined"),
    _N,
    _LOW,
    _HIGH,
    Column("constant_predictor", "flag", "", "whether every sample was given the same class"),
    Column("predicted_counts", "integers", "samples", "samples given each class, by class id"),
    Column("logit_scale", "number", "1", "factor from cosine to logit; null without a cosine"),
    _PROMPTS,
    *_BOOTSTRAP,
)
"""One row per set, system and metric: nothing is aggregated."""

SUMMARY_COLUMNS: tuple[Column, ...] = (
    _SUITE,
    _DATASET,
    _SPLIT,
    _ENCODER,
    Column("baseline", "text", "", "encoder whose errors are the denominators; null without"),
    _PROTOCOL,
    _TEMPLATE,
    _K,
    _FRACTION,
    _SEED,
    Column(
        "metric",
        "text",
        "",
        "average_<metric>, harmonic_<metric>, clean_error, ce/<corruption>, mce, relative_..., be, "
        "rbe; balanced_... from balanced accuracy",
    ),
    Column("value", "number", "1", "ratio to the baseline, or mean metric; null if undefined"),
    _N,
    _LOW,
    _HIGH,
    Column("undefined", "text", "", "why the value is undefined; null where it is not"),
    Column("corruptions", "integer", "1", "number of corruptions the value covers"),
    Column("severities", "integers", "1", "severities the value covers"),
    Column("constant_predictor", "flag", "", "whether a set it covers got one class only"),
    Column("constant_baseline", "flag", "", "whether the baseline gave such a set one class only"),
    _PROMPTS,
    *_BOOTSTRAP,
)
"""One row per system and aggregate, as in the paper's Tables 2 and 3."""

COMPARISON_COLUMNS: tuple[Column, ...] = (
    _SUITE,
    _DATASET,
    _SPLIT,
    _PROTOCOL,
    _TEMPLATE,
    _PROMPTS,
    _K,
    _FRACTION,
    _SEED,
    Column("encoder_a", "text", "", "first encoder"),
    Column("encoder_b", "text", "", "second encoder"),
    Column("baseline", "text", "", "encoder that mCE is relative to; null where none is used"),
    Column("metric", "text", "", "what is compared: accuracy, balanced_accuracy, average_..., mce"),
    Column("corruption", "text", "", "corruption of a single set; null for an aggregate"),
    Column("severity", "integer", "1", "severity of a single set; null for an aggregate"),
    Column("value_a", "number", "1", "the metric of encoder_a; null if undefined"),
    Column("value_b", "number", "1", "the metric of encoder_b; null if undefined"),
    Column("difference", "number", "1", "value_a - value_b; null if undefined"),
    Column("ci_low", "number", "1", "lower end of the paired bootstrap interval of the difference"),
    Column("ci_high", "number", "1", "upper end of that interval; null if undefined"),
    Column("test", "text", "", "McNemar (exact), or sign flips (randomisation by unit)"),
    Column("p", "number", "1", "two-sided p-value of no difference; null if undefined"),
    Column("p_holm", "number", "1", "p corrected by Holm over the family"),
    Column("p_bh", "number", "1", "p corrected by Benjamini and Hochberg over the family"),
    Column("family", "integer", "1", "p-values that were corrected together"),
    _N,
    *_BOOTSTRAP,
)
"""One row per pair of encoders and set or aggregate.

A positive difference favours encoder_a where more is better (accuracies), encoder_b in mce.
"""

PAIR_COLUMNS = tuple(
    column for column in COMPARISON_COLUMNS if column.name not in {"p_holm", "p_bh", "family"}
)
"""What of it is known from one pair alone."""


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the Parquet schema of `columns`, units and meanings being field metadata."""
    import pyarrow as pa

    from pipeline.tables import column

    kinds = {
        "text": pa.string(),
        "integer": pa.int64(),
        "integers": pa.list_(pa.int64()),
        "number": pa.float64(),
        "flag": pa.bool_(),
    }
    return pa.schema([column(c.name, kinds[c.kind], c.unit, c.meaning) for c in columns])


def to_table(rows: Iterable[Mapping[str, Any]], columns: Iterable[Column]) -> pa.Table:
    """Return `rows` as an Arrow table of `columns`; what a row lacks is null."""
    import pyarrow as pa

    schema = arrow_schema(columns)
    entries = [{name: row.get(name) for name in schema.names} for row in rows]
    return pa.Table.from_pylist(entries, schema=schema)


def ordered(rows: Iterable[Mapping[str, Any]], columns: Iterable[Column]) -> list[dict[str, Any]]:
    """Return `rows` with exactly `columns`, in their order, as `--json` prints them."""
    names = [column.name for column in columns]
    return [{name: row.get(name) for name in names} for row in rows]
