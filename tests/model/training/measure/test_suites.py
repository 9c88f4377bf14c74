"""The suites of an evaluation: which rows of a manifest are ranked among which labels."""

from pathlib import Path

from model.training.data.manifest import Sample
from model.training.measure.suites import plan_suites
from model.training.words.held_out import HeldOut


def rows(dataset: str, split: str, *labels: str, each: int = 3) -> list[Sample]:
    return [
        Sample(Path(f"{dataset}-{label}-{split}-{n}.mp4"), "", label, (), dataset, split)
        for label in labels
        for n in range(each)
    ]


def test_held_out_names_are_unseen_and_the_rest_is_seen() -> None:
    samples = rows("sports", "train", "judo", "luge", "hurdles", "golf", "shot putting")
    held_out = HeldOut(test=("judo", "luge"), validation=("hurdles",))
    (suite,), left_out = plan_suites(samples, held_out, frozenset({"shot putting"}))
    assert suite.classes == ("judo", "luge")
    assert suite.seen == {"golf"}
    assert suite.labels == ("golf", "hurdles", "judo", "luge", "shot putting")
    assert {s.label for s in suite.validation} == {"hurdles"}
    assert {s.label for s in suite.known} == {"golf"}
    assert suite.known_were_trained
    assert left_out == []


def test_seen_samples_that_were_kept_back_come_before_training_samples() -> None:
    samples = rows("sports", "train", "judo", "luge", "golf") + rows("sports", "test", "golf")
    (suite,), _ = plan_suites(samples, HeldOut(test=("judo", "luge")))
    assert {s.split for s in suite.known} == {"test"}
    assert not suite.known_were_trained


def test_the_split_column_decides_where_no_names_are_held_out() -> None:
    samples = (
        rows("ucf", "train", "golf", "judo")
        + rows("ucf", "test", "judo", "luge", "ski jumping")
        + rows("ucf", "validation", "hurdles", "golf")
    )
    (suite,), _ = plan_suites(samples, HeldOut())
    assert suite.classes == ("luge", "ski jumping")
    assert suite.seen == {"golf", "judo"}
    assert {s.label for s in suite.known} == {"judo"}
    assert {s.label for s in suite.validation} == {"hurdles"}


def test_rows_without_a_split_are_test_rows() -> None:
    (suite,), _ = plan_suites(rows("hmdb", "", "wave", "clap"), HeldOut())
    assert suite.classes == ("clap", "wave")
    assert not suite.seen


def test_each_data_set_is_a_suite_largest_first() -> None:
    samples = rows("small", "test", "a", "b", each=1) + rows("large", "test", "c", "d")
    suites, _ = plan_suites(samples, HeldOut())
    assert [suite.name for suite in suites] == ["large", "small"]


def test_one_class_is_no_suite() -> None:
    suites, left_out = plan_suites(rows("nouns", "train", "judo", "cat"), HeldOut(test=("judo",)))
    assert suites == []
    assert left_out == ["nouns: only 1 unseen test class"]


def test_a_few_samples_of_each_seen_class_are_enough() -> None:
    samples = rows("sports", "train", "judo", "luge") + rows("sports", "train", "golf", each=50)
    suites = [
        plan_suites(samples, HeldOut(test=("judo", "luge")), max_known=5)[0][0] for _ in range(2)
    ]
    assert len(suites[0].known) == 5
    assert suites[0].known == suites[1].known


def test_samples_with_captions_alone_are_in_no_suite() -> None:
    caption = Sample(Path("x.jpg"), "", "", ("a dog runs",), "flickr", "test")
    assert plan_suites([caption], HeldOut()) == ([], [])
