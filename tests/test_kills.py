"""A server that is killed while labels are written has lost none that it acknowledged."""

import pytest

from benchmarks.labels.kills import History, run


@pytest.mark.slow
def test_kills_cost_no_acknowledged_label_and_leave_a_true_index() -> None:
    outcome = run(2, first_labels=300)

    assert outcome.kills == 2
    assert outcome.acknowledged > 300
    assert (outcome.lost, outcome.wrong_indexes) == (0, 0)


def test_a_label_is_unsure_until_the_server_has_answered() -> None:
    history = History()
    history.begin(["a", "b"])
    history.end(["a"])
    history.begin(["a"])
    history.end(["a"], removed=True)

    assert history.removed == {"a"}
    assert history.present == set()
    assert history.unsure == {"b"}
