"""The text of the metrics, read by Prometheus' own parser for Python."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parsed

from omnistream.observe.exposition import Family, exposed

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), max_size=20)


@given(st.dictionaries(TEXT, st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)))
def test_labels_and_values_come_through(values: dict[str, float]) -> None:
    family = Family("omnistream_x", "gauge", 'A "gauge" with \\ in it.')
    for label, value in values.items():
        family.add(value, where=label, other="o")
    found = [s for f in parsed(exposed([family])) for s in f.samples]
    assert {s.labels["where"]: s.value for s in found} == values
    assert all(s.labels["other"] == "o" for s in found)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_buckets_are_cumulative_and_end_with_all(counts: list[int]) -> None:
    family = Family("omnistream_x_seconds", "histogram", "A histogram.")
    family.buckets(counts, (10_000, 15_000_000, 10**10), 1_500_000_000, node="a")
    (found,) = parsed(exposed([family]))
    assert found.type == "histogram"
    buckets = [(s.labels["le"], s.value) for s in found.samples if s.name.endswith("_bucket")]
    assert buckets == [
        ("1e-05", counts[0]),
        ("0.015", sum(counts[:2])),
        ("10.0", sum(counts[:3])),
        ("+Inf", sum(counts)),
    ]
    rest = {s.name: s.value for s in found.samples if not s.name.endswith("_bucket")}
    assert rest == {"omnistream_x_seconds_sum": 1.5, "omnistream_x_seconds_count": sum(counts)}


def test_a_family_without_samples_is_left_out() -> None:
    assert exposed([Family("omnistream_x", "gauge", "Nothing.")]) == ""
