"""Any sequence of writes through two stores gives the same labels as a dict."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.store import LabelNotFound, LabelStore, NewLabel, SetNotFound
from model import Label
from tests.support.word_vectors import WordSource

SETS = st.sampled_from(["default", "sports", "copy"])
NAMES = st.sampled_from(["a", "b", "c", "d", "e f"])
WRITERS = st.sampled_from([0, 1])
LABELS = st.builds(
    NewLabel,
    st.builds(
        Label,
        NAMES,
        prompts=st.sampled_from([(), ("x",)]),
        aliases=st.sampled_from([(), ("y", "z")]),
        threshold=st.sampled_from([None, 0.5]),
    ),
    enabled=st.booleans(),
)
MANY = st.lists(LABELS, max_size=4, unique_by=lambda new: new.label.name)


class StoreAsDict(RuleBasedStateMachine):
    """Two stores on one database beside a dict of sets to dicts of labels."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'labels.sqlite'}"
        self.source = WordSource(dim=4)
        self.stores = [LabelStore.open(url, self.source, first_labels=["a"]) for _ in range(2)]
        self.sets: dict[str, dict[str, NewLabel]] = {"default": {"a": NewLabel(Label("a"))}}
        self.revisions = {"default": 1, "sports": 0, "copy": 0}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    def written(self, name: str, revision: int) -> None:
        self.revisions[name] += 1
        assert revision == self.revisions[name]

    @rule(writer=WRITERS, name=SETS, labels=MANY)
    def upsert(self, writer: int, name: str, labels: list[NewLabel]) -> None:
        written = self.stores[writer].upsert(name, labels)
        before = self.sets.setdefault(name, {})
        assert written.created == sum(new.label.name not in before for new in labels)
        before |= {new.label.name: new for new in labels}
        self.written(name, written.state.revision)

    @rule(writer=WRITERS, name=SETS, labels=MANY)
    def replace(self, writer: int, name: str, labels: list[NewLabel]) -> None:
        written = self.stores[writer].replace(name, labels)
        self.sets[name] = {new.label.name: new for new in labels}
        self.written(name, written.state.revision)

    @rule(writer=WRITERS, name=SETS, label=NAMES)
    def remove(self, writer: int, name: str, label: str) -> None:
        if label in self.sets.get(name, {}):
            written = self.stores[writer].remove(name, label)
            del self.sets[name][label]
            self.written(name, written.state.revision)
            return
        with pytest.raises(LabelNotFound if name in self.sets else SetNotFound):
            self.stores[writer].remove(name, label)

    @rule(writer=WRITERS, name=st.sampled_from(["sports", "copy"]))
    def delete_set(self, writer: int, name: str) -> None:
        if name not in self.sets:
            with pytest.raises(SetNotFound):
                self.stores[writer].delete_set(name)
            return
        self.written(name, self.stores[writer].delete_set(name).state.revision)
        del self.sets[name]

    @rule(writer=WRITERS, source=st.sampled_from(["default", "sports"]))
    def copy(self, writer: int, source: str) -> None:
        if source not in self.sets:
            with pytest.raises(SetNotFound):
                self.stores[writer].copy_set(source, "copy")
            return
        self.written("copy", self.stores[writer].copy_set(source, "copy").state.revision)
        self.sets["copy"] = dict(self.sets[source])

    @rule(reader=WRITERS, name=SETS)
    def read(self, reader: int, name: str) -> None:
        if name not in self.sets:
            with pytest.raises(SetNotFound):
                self.stores[reader].snapshot(name)
            return
        snapshot = self.stores[reader].snapshot(name)
        enabled = {key: new for key, new in self.sets[name].items() if new.enabled}
        assert snapshot.revision == self.revisions[name]
        assert set(snapshot.index.names) == set(enabled)
        assert snapshot.index.thresholds == {
            key: new.label.threshold
            for key, new in enabled.items()
            if new.label.threshold is not None
        }
        for key, new in enabled.items():
            [made] = WordSource(dim=4).prototypes([new.label])
            [[hit]] = snapshot.index.search(made.vectors[:1], 1)
            assert hit.similarity == pytest.approx(1.0, abs=1e-5), key

    @invariant()
    def equals_the_dict(self) -> None:
        for name, labels in self.sets.items():
            state = self.stores[0].state(name)
            stored = {each.new.label.name: each.new for each in self.stores[0].export(name)}
            assert stored == labels
            assert (state.size, state.revision) == (len(labels), self.revisions[name])


TestStoreAsDict = StoreAsDict.TestCase
TestStoreAsDict.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
