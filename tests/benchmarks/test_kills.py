"""A server that is killed while labels are written has lost none that it acknowledged."""

import pytest

from benchmarks.labels.history import History
from benchmarks.labels.kills import run


@pytest.mark.slow
def test_kills_cost_no_acknowledged_label_and_leave_a_true_index() -> None:
    outcome = run(2, first_labels=300)

    assert outcome.kills == 2
    assert outcome.acknowledged > 300
    assert (outcome.lost, outcome.wrong_indexes) == (0, 0)


@pytest.fixture
def history() -> History:
    """Two labels that are there, one that was removed, and a request without an answer."""
    known = History()
    known.begin({"a": 0.1, "b": 0.2, "c": 0.3})
    known.end()
    known.begin({"c": None})
    known.end()
    known.begin({"b": 0.5, "new": 0.6})
    return known


@pytest.mark.parametrize(
    "stored",
    [{"a": 0.1, "b": 0.2}, {"a": 0.1, "b": 0.5, "new": 0.6}],
    ids=["nothing of the request", "all of it"],
)
def test_a_request_without_an_answer_may_be_there_or_not(
    history: History, stored: dict[str, float | None]
) -> None:
    assert history.resume(stored) == set()
    # settled by now: the next server must hold the same
    assert history.resume(stored) == set()
    assert history.resume({"a": 0.1}) == stored.keys() - {"a"}


@pytest.mark.parametrize(
    ("stored", "wrong"),
    [
        ({"a": 0.1, "b": 0.5}, {"b", "new"}),
        ({"a": 0.1, "b": 0.2, "new": 0.6}, {"b", "new"}),
        ({"b": 0.2}, {"a"}),
        ({"a": 0.9, "b": 0.2}, {"a"}),
        ({"a": 0.1, "b": 0.2, "c": 0.3}, {"c"}),
        ({"a": 0.1, "b": 0.2, "other": 0.3}, {"other"}),
    ],
    ids=["half", "other half", "lost", "older value", "removed and back", "nobody's"],
)
def test_what_a_kill_may_not_do_is_noticed(
    history: History, stored: dict[str, float | None], wrong: set[str]
) -> None:
    assert history.resume(stored) == wrong
    assert history.resume(stored) == set()
