"""An index in two blocks answers like one that was built at once, whatever was done to it."""

from typing import Any

import numpy as np
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

NO_QUERIES = np.empty((0, DIM), np.float32)
STEPS = st.one_of(
    st.tuples(st.just("upsert"), labels()),
    st.tuples(st.just("remove"), st.lists(st.sampled_from("abcdefghijklmnopXYZ"))),
    st.tuples(st.just("merge"), st.none()),
    st.tuples(st.just("shorten"), st.none()),
)


def taken(index: LabelIndex, step: tuple[str, Any]) -> LabelIndex:
    name, argument = step
    if name == "upsert":
        return index.upsert(argument)
    if name == "remove":
        return index.remove(argument)
    merged = index.merged(NO_QUERIES)
    if name == "shorten" and len(merged.base.rows) >= 16:
        # a set this small would not get a shortlist, and this one has all rows on it
        return LabelIndex.of(merged.base, Shortlist.over(merged.base.rows, merged.base.rows))
    return merged


@settings(deadline=None)
@given(first=labels(), steps=st.lists(STEPS, max_size=6), seed=st.integers(0, 2**32))
def test_any_sequence_of_steps_leaves_what_a_dict_would_hold(first, steps, seed):
    expected = dict(first)
    index = LabelIndex.build(first, DIM)
    history = [(index, dict(expected))]
    for step in steps:
        index = taken(index, step)
        if step[0] == "upsert":
            expected |= dict(step[1])
        if step[0] == "remove":
            for name in step[1]:
                expected.pop(name, None)
        history.append((index, dict(expected)))

    # the older ones too: nothing is ever changed in place
    for each, held in history:
        assert each.names == tuple(held)
        assert len(each) == len(held)
        check_against_comparison(each, list(held.items()), seed, 4)


def test_a_write_shares_the_large_block_and_a_merge_makes_a_new_one():
    index = LabelIndex.build([("a", prototypes([1.0, 0.0])), ("b", prototypes([0.0, 1.0]))], 2)

    written = index.upsert([("c", prototypes([0.6, 0.8]))]).remove(["a"])
    merged = written.merged(np.empty((0, 2), np.float32))

    assert written.base is index.base
    assert written.delta.names == ("c",)
    assert merged.base.names == ("b", "c")
    assert len(merged.delta) == 0


def test_a_merge_is_due_after_many_changes():
    rng = np.random.default_rng(0)
    vectors = unit(rng, 2_002, 8)
    items = [(f"label {row}", prototypes(vector)) for row, vector in enumerate(vectors)]
    index = LabelIndex.build(items[:1], 8)

    assert not index.upsert(items[1:2_001]).is_due
    full = index.upsert(items[1:])
    assert full.is_due
    assert not full.merged(np.empty((0, 8), np.float32)).is_due
    assert full.merged(np.empty((0, 8), np.float32)).remove(name for name, _ in items).is_due


def test_keys_with_one_hash_are_told_apart_by_their_names():
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


def clustered(rng: np.random.Generator, rows: int, dim: int) -> np.ndarray:
    """Unit vectors around centres, as texts lie around subjects."""
    centres = unit(rng, 40, dim)
    noisy = centres[rng.integers(0, 40, rows)] + 0.7 / np.sqrt(dim) * rng.standard_normal(
        (rows, dim)
    )
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def many() -> list[tuple[str, Prototypes]]:
    vectors = clustered(np.random.default_rng(1), 4_000, 32)
    background = np.random.default_rng(2).uniform([-0.1, 0.05], [0.1, 0.1], (4_000, 2))
    return [
        (f"label {row}", Prototypes((f"label {row}",), vectors[row : row + 1], pair[np.newaxis]))
        for row, pair in enumerate(background.astype(np.float32))
    ]


def share_found(index: LabelIndex, exact: LabelIndex, queries: np.ndarray) -> float:
    found, expected = index.search(queries, 10), exact.search(queries, 10)
    shares = [
        len({hit.name for hit in one} & {hit.name for hit in other}) / 10
        for one, other in zip(found, expected, strict=True)
    ]
    return float(np.mean(shares))


def test_a_shortlist_finds_nearly_all_and_compares_what_it_found_exactly(many):
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


def test_a_shortlist_never_finds_what_is_gone(many):
    start = LabelIndex.build(many, 32)
    index = LabelIndex.of(start.base, Shortlist.over(start.base.rows, start.base.rows))
    queries = clustered(np.random.default_rng(1), 50, 32)
    gone = {hits[0].name for hits in index.search(queries, 1)}

    fewer = index.remove(gone)

    exact = LabelIndex.build([item for item in many if item[0] not in gone], 32)
    assert not gone & {hit.name for hits in fewer.search(queries, 10) for hit in hits}
    assert share_found(fewer, exact, queries) > 0.95


def test_everything_is_compared_where_most_of_a_shortlist_is_gone(many):
    start = LabelIndex.build(many, 32)
    index = LabelIndex.of(start.base, Shortlist.over(start.base.rows, start.base.rows))
    query = clustered(np.random.default_rng(1), 1, 32)
    [nearest] = start.search(query, 1_500)

    fewer = index.remove(hit.name for hit in nearest)

    [found] = fewer.search(query, 10)
    [expected] = start.search(query, 1_510)
    assert [hit.name for hit in found] == [hit.name for hit in expected[1_500:]]


def check_in_order(index: LabelIndex, items: Items, queries: np.ndarray, top_k: int) -> None:
    """The best by brute force, at every rank; near equals may change places."""
    for query, hits in zip(queries, index.search(queries, top_k), strict=True):
        expected = compared_one_by_one(items, query, len(items))
        values = {name: standardised for name, _, standardised, _ in expected}
        assert len({hit.name for hit in hits}) == len(hits) == min(top_k, len(items))
        for hit, (_, _, standardised, _) in zip(hits, expected, strict=False):
            assert hit.standardised == pytest.approx(standardised, abs=1e-4)
            assert hit.standardised == pytest.approx(values[hit.name], abs=1e-4)


@pytest.mark.parametrize(("rows", "is_shortened"), [(1_000, False), (1_001, True)])
def test_rows_are_compared_one_by_one_up_to_a_limit_and_shortened_beyond(
    many, monkeypatch, rows, is_shortened
):
    monkeypatch.setattr("model.index.label_index.MOST_COMPARED", 1_000)
    items = many[:rows]
    built = LabelIndex.build(items, 32)
    assert built.is_due == is_shortened

    index = built.merged(np.empty((0, 32), np.float32))

    queries = clustered(np.random.default_rng(1), 20, 32)
    assert (index.shortlist is not None, index.is_due) == (is_shortened, False)
    if is_shortened:
        assert share_found(index, built, queries) > 0.95
    else:
        check_in_order(index, items, queries, 10)


def test_an_index_that_shrinks_below_the_limit_is_compared_one_by_one_again(many, monkeypatch):
    monkeypatch.setattr("model.index.label_index.MOST_COMPARED", 1_000)
    no_queries = np.empty((0, 32), np.float32)
    index = LabelIndex.build(many[:1_001], 32).merged(no_queries)

    fewer = index.remove([many[0][0]]).merged(no_queries)

    assert fewer.shortlist is None
    check_in_order(fewer, many[1:1_001], clustered(np.random.default_rng(1), 5, 32), 10)


@pytest.mark.parametrize("top_k", [501, 1_500, 5_000])
def test_more_than_a_shortlist_is_for_are_found_by_comparing_everything(many, monkeypatch, top_k):
    monkeypatch.setattr("model.index.label_index.MOST_COMPARED", 1_000)
    index = LabelIndex.build(many, 32).merged(np.empty((0, 32), np.float32))
    assert index.shortlist is not None
    gone = {name for name, _ in many[::7]}
    items = [item for item in many if item[0] not in gone]

    check_in_order(index.remove(gone), items, clustered(np.random.default_rng(1), 3, 32), top_k)
