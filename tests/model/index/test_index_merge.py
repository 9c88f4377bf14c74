"""An index in two blocks returns the same hits as one that was built at once."""

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.index.label_block import LabelBlock, Prototypes, key_hash
from model.index.label_index import LabelIndex
from model.index.shortlist import Shortlist
from tests.model.index.test_label_index import (
    DIM,
    Items,
    check_against_comparison,
    compared_one_by_one,
    labels,
    prototypes,
    unit,
)

Labels: TypeAlias = list[tuple[str, Prototypes]]
# what is done to an index, and with which argument: labels, names or None
Step: TypeAlias = tuple[str, Any]

NO_QUERIES = np.empty((0, DIM), np.float32)
STEPS = st.one_of(
    st.tuples(st.just("upsert"), labels()),
    st.tuples(st.just("remove"), st.lists(st.sampled_from("abcdefghijklmnopXYZ"))),
    st.tuples(st.just("merge"), st.none()),
    st.tuples(st.just("shorten"), st.none()),
)


def apply(index: LabelIndex, step: Step) -> LabelIndex:
    name, argument = step
    if name == "upsert":
        return index.upsert(argument)
    if name == "remove":
        return index.remove(argument)
    merged = index.merged(NO_QUERIES)
    if name == "shorten" and len(merged.base.rows) >= 16:
        # an index this small gets no shortlist by itself; this shortlist contains all rows
        return LabelIndex.of(merged.base, Shortlist.over(merged.base.rows, merged.base.rows))
    return merged


@settings(deadline=None)
@given(first=labels(), steps=st.lists(STEPS, max_size=6), seed=st.integers(0, 2**32))
def test_any_sequence_of_writes_gives_the_labels_of_a_dict(
    first: Items, steps: list[Step], seed: int
) -> None:
    expected = dict(first)
    index = LabelIndex.build(first, DIM)
    history = [(index, dict(expected))]
    for step in steps:
        index = apply(index, step)
        if step[0] == "upsert":
            expected |= dict(step[1])
        if step[0] == "remove":
            for name in step[1]:
                expected.pop(name, None)
        history.append((index, dict(expected)))

    # the older ones too: no index is changed in place
    for each, held in history:
        assert each.names == tuple(held)
        assert len(each) == len(held)
        check_against_comparison(each, list(held.items()), seed, 4)


def test_a_write_shares_the_large_block_and_a_merge_makes_a_new_one() -> None:
    index = LabelIndex.build([("a", prototypes([1.0, 0.0])), ("b", prototypes([0.0, 1.0]))], 2)

    written = index.upsert([("c", prototypes([0.6, 0.8]))]).remove(["a"])
    merged = written.merged(np.empty((0, 2), np.float32))

    assert written.base is index.base
    assert written.delta.names == ("c",)
    assert merged.base.names == ("b", "c")
    assert len(merged.delta) == 0


def test_a_merge_is_due_after_many_changes() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng, 2_002, 8)
    items = [(f"label {row}", prototypes(vector)) for row, vector in enumerate(vectors)]
    index = LabelIndex.build(items[:1], 8)

    assert not index.upsert(items[1:2_001]).needs_merge
    full = index.upsert(items[1:])
    assert full.needs_merge
    assert not full.merged(np.empty((0, 8), np.float32)).needs_merge
    assert full.merged(np.empty((0, 8), np.float32)).remove(name for name, _ in items).needs_merge


def test_keys_with_equal_hashes_are_distinguished_by_their_names() -> None:
    block = LabelBlock.of(
        [(name, name, prototypes([1.0, 0.0])) for name in ("a", "b", "c")], range(3), 2
    )
    same = LabelBlock(
        block.names,
        block.texts,
        block.orders,
        np.full(3, key_hash("b"), np.uint64),
        block.starts,
        block.rows,
        block.background,
    )

    assert same.find(["b", "x"]).tolist() == [1, -1]


def clustered(rng: np.random.Generator, rows: int, dim: int) -> npt.NDArray[np.float32]:
    """Unit vectors around random centres, as texts lie around subjects."""
    centres = unit(rng, 40, dim)
    noisy = centres[rng.integers(0, 40, rows)] + 0.7 / np.sqrt(dim) * rng.standard_normal(
        (rows, dim)
    )
    unit_vectors = noisy / np.linalg.norm(noisy, axis=1, keepdims=True)
    rounded: npt.NDArray[np.float32] = unit_vectors.astype(np.float32)
    return rounded


@pytest.fixture(scope="module")
def many() -> Labels:
    vectors = clustered(np.random.default_rng(1), 4_000, 32)
    background = np.random.default_rng(2).uniform([-0.1, 0.05], [0.1, 0.1], (4_000, 2))
    return [
        (f"label {row}", Prototypes((f"label {row}",), vectors[row : row + 1], pair[np.newaxis]))
        for row, pair in enumerate(background.astype(np.float32))
    ]


def share_found(index: LabelIndex, exact: LabelIndex, queries: npt.NDArray[np.float32]) -> float:
    found, expected = index.search(queries, 10), exact.search(queries, 10)
    shares = [
        len({hit.name for hit in one} & {hit.name for hit in other}) / 10
        for one, other in zip(found, expected, strict=True)
    ]
    return float(np.mean(shares))


def test_a_shortlist_finds_over_95_percent_with_exact_similarities(many: Labels) -> None:
    exact = LabelIndex.build(many, 32)
    index = LabelIndex.of(
        exact.base, Shortlist.over(exact.base.rows, np.empty((0, 33), np.float32))
    )
    queries = clustered(np.random.default_rng(1), 50, 32)

    assert share_found(index, exact, queries) > 0.95
    similarities = {
        (query, hit.name): hit
        for query, hits in enumerate(exact.search(queries, 100))
        for hit in hits
    }
    for query, hits in enumerate(index.search(queries, 10)):
        for hit in hits:
            same = similarities[query, hit.name]
            assert hit.standardised == pytest.approx(same.standardised, abs=1e-4)


def test_a_shortlist_never_returns_removed_labels(many: Labels) -> None:
    start = LabelIndex.build(many, 32)
    index = LabelIndex.of(start.base, Shortlist.over(start.base.rows, start.base.rows))
    queries = clustered(np.random.default_rng(1), 50, 32)
    gone = {hits[0].name for hits in index.search(queries, 1)}

    fewer = index.remove(gone)

    exact = LabelIndex.build([item for item in many if item[0] not in gone], 32)
    assert not gone & {hit.name for hits in fewer.search(queries, 10) for hit in hits}
    assert share_found(fewer, exact, queries) > 0.95


def test_all_rows_are_compared_when_most_of_the_shortlist_is_removed(many: Labels) -> None:
    start = LabelIndex.build(many, 32)
    index = LabelIndex.of(start.base, Shortlist.over(start.base.rows, start.base.rows))
    query = clustered(np.random.default_rng(1), 1, 32)
    [nearest] = start.search(query, 1_500)

    fewer = index.remove(hit.name for hit in nearest)

    [found] = fewer.search(query, 10)
    [expected] = start.search(query, 1_510)
    assert [hit.name for hit in found] == [hit.name for hit in expected[1_500:]]


def check_in_order(
    index: LabelIndex, items: Items, queries: npt.NDArray[np.float32], top_k: int
) -> None:
    """Compares every rank with brute force; near equals may be swapped."""
    for query, hits in zip(queries, index.search(queries, top_k), strict=True):
        expected = compared_one_by_one(items, query, len(items))
        values = {name: standardised for name, _, standardised, _ in expected}
        assert len({hit.name for hit in hits}) == len(hits) == min(top_k, len(items))
        for hit, (_, _, standardised, _) in zip(hits, expected, strict=False):
            assert hit.standardised == pytest.approx(standardised, abs=1e-4)
            assert hit.standardised == pytest.approx(values[hit.name], abs=1e-4)


@pytest.mark.parametrize(("rows", "has_shortlist"), [(1_000, False), (1_001, True)])
def test_a_merge_builds_a_shortlist_above_the_limit_of_exact_rows(
    many: Labels, rows: int, has_shortlist: bool
) -> None:
    items = many[:rows]
    built = replace(LabelIndex.build(items, 32), max_exact_rows=1_000)
    assert built.needs_merge == has_shortlist

    index = built.merged(np.empty((0, 32), np.float32))

    queries = clustered(np.random.default_rng(1), 20, 32)
    assert (index.shortlist is not None, index.needs_merge) == (has_shortlist, False)
    if has_shortlist:
        assert share_found(index, built, queries) > 0.95
    else:
        check_in_order(index, items, queries, 10)


def test_a_merge_drops_the_shortlist_below_the_limit_of_exact_rows(many: Labels) -> None:
    no_queries = np.empty((0, 32), np.float32)
    built = replace(LabelIndex.build(many[:1_001], 32), max_exact_rows=1_000)
    index = built.merged(no_queries)

    fewer = index.remove([many[0][0]]).merged(no_queries)

    assert fewer.shortlist is None
    check_in_order(fewer, many[1:1_001], clustered(np.random.default_rng(1), 5, 32), 10)


@pytest.mark.parametrize("top_k", [501, 1_500, 5_000])
def test_a_large_top_k_compares_all_rows(many: Labels, top_k: int) -> None:
    built = replace(LabelIndex.build(many, 32), max_exact_rows=1_000)
    index = built.merged(np.empty((0, 32), np.float32))
    assert index.shortlist is not None
    gone = {name for name, _ in many[::7]}
    items = [item for item in many if item[0] not in gone]

    check_in_order(index.remove(gone), items, clustered(np.random.default_rng(1), 3, 32), top_k)


def test_a_shortlist_finds_rows_whose_directions_vary_by_different_amounts() -> None:
    # the embeddings of videos do: half of all lengths lies along one direction of 640
    random, deviations = np.random.default_rng(0), np.arange(1, 101) ** -0.7
    rows, queries = (
        (random.standard_normal((count, 100)) * deviations).astype(np.float32)
        for count in (100_000, 50)
    )
    tenth = np.partition(queries @ rows.T, -10, axis=1)[:, -10:-9]

    found = Shortlist.over(rows, queries).nearest(queries, rows, 10)

    assert found is not None
    values, _ = found
    assert np.mean(values >= tenth - 1e-4) > 0.99
