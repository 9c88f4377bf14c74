"""The index returns the same labels as comparing every label with every embedding."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import LabelError
from model.index.label_block import LabelBlock, Prototypes
from model.index.label_index import Hit, LabelIndex

DIM = 4
Items: TypeAlias = Sequence[tuple[str, Prototypes]]


def unit(rng: np.random.Generator, rows: int, dim: int = DIM) -> npt.NDArray[np.float32]:
    vectors = rng.standard_normal((rows, dim)).astype(np.float32)
    unit_vectors: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_vectors


def prototypes(
    *vectors: Sequence[float], mean: float = 0.0, spread: float = 1.0, texts: Sequence[str] = ()
) -> Prototypes:
    rows = np.array(vectors, np.float32)
    background = np.tile(np.array([[mean, spread]], np.float32), (len(rows), 1))
    return Prototypes(
        tuple(texts) or tuple(f"text {i}" for i in range(len(rows))), rows, background
    )


@st.composite
def labels(draw: st.DrawFn, names: str = "abcdefghijklmnop") -> list[tuple[str, Prototypes]]:
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))
    seed = draw(st.integers(0, 2**32))
    made = []
    for name in chosen:
        # two labels with the same vectors would have no order among themselves
        rng = np.random.default_rng([seed, ord(name)])
        rows = draw(st.integers(1, 6))
        background = np.stack([rng.uniform(-0.5, 0.5, rows), rng.uniform(0.02, 2.0, rows)], axis=1)
        texts = tuple(f"{name}{row}" for row in range(rows))
        made.append((name, Prototypes(texts, unit(rng, rows), background.astype(np.float32))))
    return made


def compared_one_by_one(
    items: Items, embedding: npt.NDArray[np.float32], top_k: int
) -> list[tuple[str, float, float, str]]:
    """Name, similarity, standardised similarity and text of each label's best row."""
    best = []
    for name, found in items:
        similarities = found.vectors.astype(np.float64) @ embedding
        standardised = (similarities - found.background[:, 0]) / found.background[:, 1]
        row = int(standardised.argmax())
        best.append((name, similarities[row], standardised[row], found.texts[row]))
    return sorted(best, key=lambda label: -label[2])[:top_k]


def check_against_comparison(index: LabelIndex, items: Items, seed: int, top_k: int) -> None:
    queries = unit(np.random.default_rng(seed), 3)
    for query, hits in zip(queries, index.search(queries, top_k), strict=True):
        expected = compared_one_by_one(items, query, top_k)
        assert [(hit.name, hit.text) for hit in hits] == [(e[0], e[3]) for e in expected]
        for hit, (_, similarity, standardised, _) in zip(hits, expected, strict=True):
            assert hit.similarity == pytest.approx(similarity, abs=1e-5)
            assert hit.standardised == pytest.approx(standardised, abs=1e-3)


@given(items=labels(), seed=st.integers(0, 2**32), top_k=st.integers(1, 20))
def test_search_returns_what_brute_force_returns(items: Items, seed: int, top_k: int) -> None:
    check_against_comparison(LabelIndex.build(items, DIM), items, seed, top_k)


@given(
    first=labels(),
    second=labels(),
    gone=st.sets(st.sampled_from("abcdefghXYZ")),
    seed=st.integers(),
)
def test_upsert_and_remove_return_a_new_index_and_keep_the_old_one(
    first: Items, second: Items, gone: set[str], seed: int
) -> None:
    seed = abs(seed) % 2**32
    old = LabelIndex.build(first, DIM)

    new = old.upsert(second).remove(gone)

    kept = {**dict(first), **dict(second)}
    items = [(name, found) for name, found in kept.items() if name not in gone]
    assert new.names == tuple(name for name, _ in items)
    assert len(new) == len(items)
    check_against_comparison(new, items, seed, 5)
    assert old.names == tuple(name for name, _ in first)
    check_against_comparison(old, first, seed, 5)


@given(
    first=labels(),
    second=labels(),
    gone=st.sets(st.sampled_from("abcdefgh")),
    wanted=st.sets(st.sampled_from("abcdefghijklmnop")),
    seed=st.integers(0, 2**32),
    top_k=st.integers(1, 20),
)
def test_a_search_among_some_labels_compares_these_only(
    first: Items, second: Items, gone: set[str], wanted: set[str], seed: int, top_k: int
) -> None:
    index = LabelIndex.build(first, DIM).remove(gone).upsert(second)
    there = {**{name: found for name, found in first if name not in gone}, **dict(second)}
    [query] = unit(np.random.default_rng(seed), 1)

    def among(block: LabelBlock) -> npt.NDArray[np.bool_]:
        return np.array([name in wanted for name in block.names], np.bool_)

    [hits] = index.search(query[np.newaxis], top_k, among)

    chosen = [(name, found) for name, found in there.items() if name in wanted]
    expected = compared_one_by_one(chosen, query, top_k)
    assert [(hit.name, hit.text) for hit in hits] == [(each[0], each[3]) for each in expected]


def test_a_label_with_many_near_rows_does_not_crowd_out_the_next_label() -> None:
    crowd = prototypes(*[[1.0, 0.0]] * 50)
    index = LabelIndex.build(
        [("crowd", crowd), ("near", prototypes([0.8, 0.6])), ("far", prototypes([0.0, 1.0]))], 2
    )

    [hits] = index.search(np.array([[1.0, 0.0]], np.float32), 2)

    assert [hit.name for hit in hits] == ["crowd", "near"]


def test_a_hit_has_the_best_rows_text_and_both_similarities() -> None:
    found = prototypes([1.0, 0.0], [0.6, 0.8], mean=0.2, spread=0.5, texts=("juggling", "balls"))

    [[hit]] = LabelIndex.build([("Juggling", found)], 2).search(
        np.array([[0.0, 1.0]], np.float32), 5
    )

    assert hit.name == "Juggling"
    assert hit.text == "balls"
    assert hit.similarity == pytest.approx(0.8)
    assert hit.standardised == pytest.approx((0.8 - 0.2) / 0.5)


def test_the_ranking_is_by_standardised_similarity_not_by_the_raw_one() -> None:
    vague = prototypes([1.0, 0.0], mean=0.9, spread=0.1)
    sharp = prototypes([0.6, 0.8], mean=0.1, spread=0.1)
    index = LabelIndex.build([("vague", vague), ("sharp", sharp)], 2)

    [hits] = index.search(np.array([[1.0, 0.0]], np.float32), 2)

    assert [hit.name for hit in hits] == ["sharp", "vague"]
    assert hits[0].similarity < hits[1].similarity


def test_labels_with_equal_similarity_are_in_insertion_order() -> None:
    same = prototypes([1.0, 0.0])
    names = [f"label {number}" for number in range(8)]
    index = LabelIndex.build([(name, same) for name in names], 2)

    [hits] = index.search(np.array([[1.0, 0.0]], np.float32), 8)

    assert [hit.name for hit in hits] == names


@pytest.mark.parametrize(
    ("size", "top_k", "found"), [(0, 5, 0), (3, 100, 3), (3, 3, 3), (3, 1, 1), (3, 0, 0)]
)
def test_search_returns_at_most_top_k_labels_and_at_most_all(
    size: int, top_k: int, found: int
) -> None:
    index = LabelIndex.build([(str(number), prototypes([1.0, 0.0])) for number in range(size)], 2)

    hits = index.search(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), top_k)

    assert [len(each) for each in hits] == [found, found]


def test_searching_no_embeddings_returns_an_empty_list() -> None:
    index = LabelIndex.build([("a", prototypes([1.0, 0.0]))], 2)
    assert index.search(np.empty((0, 2), np.float32), 5) == []


def test_an_embedding_with_nan_has_no_hits() -> None:
    index = LabelIndex.build([("a", prototypes([1.0, 0.0])), ("b", prototypes([0.0, 1.0]))], 2)
    assert index.search(np.full((1, 2), np.nan, np.float32), 2) == [[]]


def test_spellings_of_one_name_are_one_label() -> None:
    index = LabelIndex.build([("Café Dance", prototypes([1.0, 0.0]))], 2)

    replaced = index.upsert([("  cafe\u0301   DANCE", prototypes([0.0, 1.0]))])

    assert replaced.names == ("  cafe\u0301   DANCE",)
    assert len(replaced.remove(["CAFÉ dance"])) == 0
    assert index.names == ("Café Dance",)


def test_the_later_of_two_labels_with_one_key_is_kept() -> None:
    index = LabelIndex.build([("a", prototypes([1.0, 0.0])), ("A", prototypes([0.0, 1.0]))], 2)

    assert index.search(np.array([[0.0, 1.0]], np.float32), 5) == [[Hit("A", 1.0, 1.0, "text 0")]]


def test_bad_names_and_dimensions_raise() -> None:
    with pytest.raises(LabelError):
        LabelIndex.build([(" ", prototypes([1.0, 0.0]))], 2)
    with pytest.raises(ValueError, match="dimension"):
        LabelIndex.build([("a", prototypes([1.0, 0.0]))], 3)
    with pytest.raises(ValueError, match="embeddings"):
        LabelIndex.build([("a", prototypes([1.0, 0.0]))], 2).search(np.ones((1, 1), np.float32), 1)


@pytest.mark.parametrize(
    ("texts", "vectors", "background"),
    [
        ((), (0, 2), (0, 2)),
        (("a",), (2, 2), (1, 2)),
        (("a", "b"), (2, 2), (1, 2)),
        (("a",), (1, 2), (1, 3)),
        (("a", "b"), (2,), (2, 2)),
    ],
)
def test_prototypes_need_a_vector_and_a_background_for_each_text(
    texts: tuple[str, ...], vectors: tuple[int, ...], background: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="texts"):
        Prototypes(texts, np.zeros(vectors, np.float32), np.zeros(background, np.float32))
