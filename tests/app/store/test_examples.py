"""Label examples: every store searches with them, and they survive other writes."""

from collections.abc import Iterator

import numpy as np
import pytest

from app.store import (
    DEFAULT_SET,
    Condition,
    ConditionFailed,
    Example,
    ExampleNotFound,
    LabelNotFound,
    LabelStore,
    NewLabel,
    SetNotFound,
    TooManyExamples,
)
from app.store.database import migrate, migrate_down, open_engine
from app.store.examples import MAX_EXAMPLES
from model import Label
from tests.support.word_vectors import WordSource

NAMES = ["riding a horse", "juggling"]


class RetrainedSource(WordSource):
    """The same words, another video encoder."""

    @property
    def video_space(self) -> str:
        return "retrained"


@pytest.fixture
def url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
def store(url: str) -> Iterator[LabelStore]:
    store = LabelStore.open(url, WordSource(), first_labels=NAMES)
    yield store
    store.close()


def showing(*texts: str) -> list[Example]:
    source = WordSource()
    return [Example(text.replace(" ", "-"), source.video_of(text)[0]) for text in texts]


def similarity(store: LabelStore, name: str, shown: str, label_set: str = DEFAULT_SET) -> float:
    """Of a video that shows just this text to the label."""
    index = store.snapshot(label_set).index
    hits = index.search(WordSource().video_of(shown), len(index))[0]
    [found] = [hit for hit in hits if hit.name == name]
    return found.similarity


def test_every_store_uses_examples_at_once(store: LabelStore, url: str) -> None:
    with_other = LabelStore.open(url, WordSource())
    with_other.snapshot(DEFAULT_SET)

    taught = store.teach(DEFAULT_SET, " JUGGLING", showing("red balls", "clubs"))

    assert (taught.added, taught.removed, taught.examples) == (2, 0, 2)
    assert taught.state.revision == 2
    mean = sum(example.vector for example in showing("red balls", "clubs"))
    expected = float(WordSource().video_of("clubs")[0] @ (mean / np.linalg.norm(mean)))
    for reader in (store, with_other):
        assert similarity(reader, "juggling", "clubs") == pytest.approx(expected, abs=1e-5)
        assert similarity(reader, "riding a horse", "riding a horse") == pytest.approx(1, abs=1e-5)
    with_other.close()


def test_an_example_is_stored_once_per_video(store: LabelStore) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs", "clubs"))
    again = store.teach(DEFAULT_SET, "juggling", showing("clubs", "balls"))

    _, listed = store.examples(DEFAULT_SET, "juggling")
    assert (again.added, again.examples) == (1, 2)
    assert {each.sha256 for each in listed} == {"clubs", "balls"}


def test_removing_all_examples_restores_the_label_vectors(store: LabelStore) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs", "balls"))

    one = store.forget(DEFAULT_SET, "juggling", "clubs")
    by_balls = similarity(store, "juggling", "balls")
    rest = store.forget(DEFAULT_SET, "juggling")

    assert (one.removed, one.examples, rest.removed, rest.examples) == (1, 1, 1, 0)
    assert by_balls == pytest.approx(1, abs=1e-5)
    assert similarity(store, "juggling", "juggling") == pytest.approx(1, abs=1e-5)


def test_examples_survive_a_put_of_the_label_but_not_its_removal(
    store: LabelStore,
) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs"))

    store.upsert(DEFAULT_SET, [NewLabel(Label("Juggling", prompts=("with balls",)))])
    put_again = similarity(store, "Juggling", "clubs")
    store.remove(DEFAULT_SET, "juggling")
    store.upsert(DEFAULT_SET, [NewLabel(Label("juggling"))])

    assert put_again == pytest.approx(1, abs=1e-5)
    assert store.examples(DEFAULT_SET, "juggling")[1] == []
    assert similarity(store, "juggling", "juggling") == pytest.approx(1, abs=1e-5)


def test_a_copied_set_has_the_examples(store: LabelStore) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs"))

    store.copy_set(DEFAULT_SET, "copy")
    store.forget(DEFAULT_SET, "juggling")

    assert similarity(store, "juggling", "clubs", "copy") == pytest.approx(1, abs=1e-5)


def test_examples_survive_a_change_of_the_text_model(store: LabelStore, url: str) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs"))

    other_words = LabelStore.open(url, WordSource(salt="other words"))

    assert similarity(other_words, "juggling", "clubs") == pytest.approx(1, abs=1e-5)
    other_words.close()


def test_another_checkpoint_lists_examples_but_does_not_use_them(
    store: LabelStore, url: str
) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs"))

    retrained = LabelStore.open(url, RetrainedSource())
    taught = retrained.teach(DEFAULT_SET, "riding a horse", showing("saddle"))

    assert similarity(retrained, "juggling", "juggling") == pytest.approx(1, abs=1e-5)
    assert similarity(store, "juggling", "clubs") == pytest.approx(1, abs=1e-5)
    [listed] = retrained.examples(DEFAULT_SET, "juggling")[1]
    assert listed.video_space == WordSource().video_space
    assert taught.examples == 1
    assert retrained.forget(DEFAULT_SET, "juggling").removed == 1
    retrained.close()


def test_a_refused_example_changes_nothing(store: LabelStore) -> None:
    many = [Example(str(number), np.ones(16, np.float32)) for number in range(MAX_EXAMPLES + 1)]
    with pytest.raises(TooManyExamples):
        store.teach(DEFAULT_SET, "juggling", many)
    with pytest.raises(LabelNotFound):
        store.teach(DEFAULT_SET, "swimming", showing("water"))
    with pytest.raises(SetNotFound):
        store.teach("nowhere", "juggling", showing("clubs"))
    with pytest.raises(ConditionFailed):
        store.teach(DEFAULT_SET, "juggling", showing("clubs"), condition=Condition(frozenset({7})))
    with pytest.raises(ExampleNotFound):
        store.forget(DEFAULT_SET, "juggling", "clubs")
    with pytest.raises(LabelNotFound):
        store.examples(DEFAULT_SET, "swimming")

    assert store.state(DEFAULT_SET).revision == 1
    assert store.examples(DEFAULT_SET, "juggling")[1] == []


def test_a_downgrade_to_the_first_schema_keeps_the_labels(store: LabelStore, url: str) -> None:
    store.teach(DEFAULT_SET, "juggling", showing("clubs"))
    engine = open_engine(url)

    migrate_down(engine, "0001")
    migrate(engine)

    assert [each.new.label.name for each in store.export(DEFAULT_SET)] == sorted(NAMES)
    assert store.examples(DEFAULT_SET, "juggling")[1] == []
    engine.dispose()
