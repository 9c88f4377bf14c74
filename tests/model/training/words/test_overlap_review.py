"""Training does not start while an overlap has no decision."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from model.training.data.manifest import Sample, read_manifest
from model.training.report.overlap_histogram import plot_histogram, removed_labels
from model.training.resources import TrainingResources
from model.training.run import RunRequest, run
from model.training.words.held_out import HeldOut, read_held_out
from model.training.words.overlap_review import (
    OverlapError,
    read_review,
    review,
    texts_to_drop,
    without_texts,
    write_review,
)
from tests.support.training_tree import DIM, tiny_config, write_pictures
from tests.support.word_vectors import WordVectors

HELD_OUT = HeldOut(test=("red wall",))
TEXT = WordVectors(DIM)


def sample(label: str, *captions: str) -> Sample:
    return Sample(Path(f"{label}.png"), "", label, captions, "d", "train")


SAMPLES = [
    sample("red wall"),
    sample("wall"),
    sample("green lamp"),
    sample("blue lamp", "a lamp before a red wall"),
    sample("yellow sky", "the sky"),
]


def found_rules(held_out: HeldOut = HELD_OUT) -> dict[str, str]:
    return {overlap.text: overlap.rule for overlap in review(SAMPLES, held_out, TEXT).overlaps}


def test_the_held_out_class_itself_is_no_overlap_and_is_never_trained_on() -> None:
    assert found_rules() == {
        "wall": "inside the class",
        "a lamp before a red wall": "contains the class",
    }
    kept = without_texts(SAMPLES, HELD_OUT, frozenset())
    assert [s.label for s in kept] == ["wall", "green lamp", "blue lamp", "yellow sky"]


def test_an_overlap_is_refused_until_it_is_decided() -> None:
    found = review(SAMPLES, HELD_OUT, TEXT)

    with pytest.raises(OverlapError, match="2 training texts overlap") as refused:
        texts_to_drop(found, "refuse")
    assert "'wall' and 'red wall': inside the class" in str(refused.value)
    assert texts_to_drop(found, "drop") == {"wall", "a lamp before a red wall"}
    assert texts_to_drop(found, "keep") == frozenset()


def decide(path: Path, **decisions: str) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["decision"] = decisions.get(row["text"].replace(" ", "_"), row["decision"])
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_a_persons_decisions_are_followed(tmp_path: Path) -> None:
    table = tmp_path / "overlap.csv"
    found = review(SAMPLES, replace(HELD_OUT, tau=0.3), TEXT)
    write_review(table, found)

    assert texts_to_drop(found, str(table)) == {o.text for o in found.overlaps}
    decide(table, wall="keep")
    assert "wall" not in texts_to_drop(found, str(table))
    assert "a lamp before a red wall" in texts_to_drop(found, str(table))


def test_near_misses_are_shown_to_be_kept_and_can_be_dropped(tmp_path: Path) -> None:
    table = tmp_path / "overlap.csv"
    far = float(review([sample("green lamp")], HELD_OUT, TEXT).nearest[0])
    found = review(SAMPLES, replace(HELD_OUT, tau=far - 0.05), TEXT)
    write_review(table, found)

    assert read_review(table)["green lamp", "red wall"] == "keep"
    decide(table, green_lamp="drop")
    assert "green lamp" in texts_to_drop(found, str(table))


def test_a_text_that_came_after_the_review_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "overlap.csv"
    write_review(table, review(SAMPLES, HELD_OUT, TEXT))
    later = review([*SAMPLES, sample("painting a red wall")], HELD_OUT, TEXT)

    with pytest.raises(OverlapError, match=r"1 training texts overlap.*\n.*painting a red wall"):
        texts_to_drop(later, str(table))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,class\na,b\n", "no column decision"),
        (
            "text,class,decision\na,b,maybe\nc,d,drop\ne,f,\n",
            "2 bad rows\nline 2: .*'maybe'\nline 4",
        ),
        ("text,class,decision\na,b\n", "line 2: more or fewer cells"),
    ],
)
def test_a_damaged_review_is_refused_row_by_row(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "overlap.csv"
    table.write_text(content)

    with pytest.raises(OverlapError, match=message):
        read_review(table)


def test_a_missing_review_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OverlapError, match="cannot be read"):
        texts_to_drop(review(SAMPLES, HELD_OUT, TEXT), str(tmp_path / "nowhere.csv"))


def test_the_rows_a_person_reads_first_are_the_surest(tmp_path: Path) -> None:
    table = tmp_path / "overlap.csv"
    write_review(table, review(SAMPLES, replace(HELD_OUT, tau=0.3), TEXT))

    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    distances = [
        float(row["distance"]) for row in rows if row["decision"] == "drop" and row["distance"]
    ]
    assert list(rows[0]) == ["text", "class", "rule", "distance", "decision"]
    assert distances == sorted(distances)


def test_nothing_held_out_is_nothing_to_review() -> None:
    with pytest.raises(OverlapError, match="no class is held out"):
        review(SAMPLES, HeldOut(), TEXT)


def test_the_histogram_counts_what_the_rules_remove(tmp_path: Path) -> None:
    found = review(SAMPLES, HELD_OUT, TEXT)

    plot_histogram(tmp_path / "overlap.png", found)
    plot_histogram(tmp_path / "overlap.svg", found)

    assert removed_labels(found) == 1
    drawn = (tmp_path / "overlap.svg").read_text()
    assert "#ff0000" in drawn
    with Image.open(tmp_path / "overlap.png") as picture:
        assert picture.size == (1050, 600)


def test_a_split_decides_about_overlaps(tmp_path: Path) -> None:
    (tmp_path / "split.toml").write_text('test = ["judo"]\noverlap = "reviewed.csv"\ntau = 0.05\n')

    held_out = read_held_out(str(tmp_path / "split.toml"))

    assert held_out == HeldOut(("judo",), (), str(tmp_path / "reviewed.csv"), 0.05)
    assert read_held_out("small.toml").overlap == "drop"


@pytest.mark.parametrize("content", ['test = ["a"]\ncolour = "red"', "test = [", 'test = ["a"]\n"'])
def test_a_damaged_split_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.toml").write_text(content)

    with pytest.raises(ValueError, match="is not a split"):
        read_held_out(str(tmp_path / "split.toml"))


def test_a_run_does_not_start_with_an_undecided_overlap(tmp_path: Path) -> None:
    manifest = write_pictures(tmp_path / "pictures", each=8)
    assert len(read_manifest(manifest)) == 32
    split = tmp_path / "split.toml"
    split.write_text('test = ["wall"]\n')
    config = tiny_config(steps=1, held_out=str(split))
    lines: list[str] = []

    def start(overlap: str | None) -> Path | None:
        command = ("kinolex", "train")
        request = RunRequest(config, (manifest,), tmp_path / "out", command, overlap=overlap)
        return run(request, TrainingResources(log=lines.append), text=TEXT)

    with pytest.raises(OverlapError, match="4 training texts overlap"):
        start(None)
    with pytest.raises(ValueError, match="no sample is left"):
        start("drop")
    assert not (tmp_path / "out").exists()
    assert start("keep") == tmp_path / "out" / "checkpoint"
    assert any("4 overlapping texts are kept, as requested" in line for line in lines)
