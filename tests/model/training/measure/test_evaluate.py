"""An evaluation of the colour checkpoint, whose answers are known, and its report."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from model.training.data.manifest import Sample
from model.training.measure.evaluate import EvaluationOptions, Report, examine
from model.training.measure.figures import RAW, SERVED
from model.training.report.evaluation_report import as_document, as_html, write_report
from model.training.words.held_out import HeldOut
from tests.support.clips import write_clip
from tests.support.fakes import colour_tagger

QUIET = EvaluationOptions(log=lambda _: None)
COLOURS = {"red": (220, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 220)}
# what shows green is labelled blue: a class that is always called something else
WRONG = {"blue": "green"}


def picture(folder: Path, label: str, number: int, split: str = "test") -> Sample:
    path = folder / f"{label.split()[-1]}-{number}.png"
    if not path.exists():
        shown = WRONG.get(label, label.split()[-1])
        Image.new("RGB", (40 + number, 40), COLOURS[shown]).save(path)
    return Sample(path, "", label, (), "colours", split)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("colours")
    rows = [picture(folder, label, n) for label in ("red", "green", "blue") for n in range(3)]
    broken = folder / "broken.png"
    broken.write_bytes(b"nothing")
    return [*rows, Sample(broken, "", "red", (), "colours", "test")]


@pytest.fixture(scope="module")
def report(samples: list[Sample]) -> Report:
    return examine(colour_tagger(), samples, HeldOut(), replace(QUIET, with_pictures=True))


def test_figures_are_those_of_the_clips(report: Report) -> None:
    (suite,) = report.suites
    for kind in (RAW, SERVED):
        figures = suite.figures[kind]
        assert figures.accuracy.samples == 9
        assert figures.top1.value == pytest.approx(6 / 9)
        assert figures.top5.value == 1.0
        assert figures.unfamiliar is None
    assert [(row.label, row.top1) for row in suite.classes] == [
        ("green", 1.0),
        ("red", 1.0),
        ("blue", 0.0),
    ]
    assert suite.classes[-1].mistaken_for == "green"
    (pair,) = suite.confusions
    assert (pair.true, pair.predicted, pair.count, pair.share) == ("blue", "green", 3, 1.0)


def test_a_file_that_cannot_be_read_is_named_and_not_counted(report: Report) -> None:
    (broken,) = report.suites[0].broken
    assert broken.startswith("broken.png")


def test_scores_are_compared_with_how_often_they_are_right(report: Report) -> None:
    diagram = report.suites[0].reliability
    assert sum(diagram.counts) == 9
    # one answer for each colour, all sure: a third of them is wrong
    assert 0.25 < diagram.error < 0.4


def test_seen_and_unseen_labels_are_ranked_together(samples: list[Sample], tmp_path: Path) -> None:
    known = picture(tmp_path, "green", 0, split="train")
    seen = [
        Sample(known.path, "", "green", (), "colours", split)
        for split in ("train", "train", "test")
    ]
    unseen = [sample for sample in samples if sample.label != "green"]
    report = examine(colour_tagger(), [*unseen, *seen], HeldOut(), QUIET)
    both = report.suites[0].together[RAW]
    assert (both.labels, both.seen_labels) == (3, 1)
    # "blue" shows green: it is lost to the seen label, and no handicap mends it before green goes
    assert both.before == pytest.approx((1.0, 0.5, 2 / 3))
    assert both.handicap is None
    assert both.after is None
    assert not both.known_were_trained


def test_the_handicap_of_seen_labels_is_chosen_on_validation_classes(
    samples: list[Sample], tmp_path: Path
) -> None:
    rows = [Sample(s.path, s.member, s.label, (), "colours", "train") for s in samples[:9]]
    red = Sample(rows[0].path, "", "crimson", (), "colours", "train")
    report = examine(colour_tagger(), [*rows, red], HeldOut(("red", "blue"), ("crimson",)), QUIET)
    both = report.suites[0].together[SERVED]
    assert both.handicap is not None
    assert both.after is not None
    assert both.known_were_trained


def test_classes_known_from_pretraining_are_marked(samples: list[Sample]) -> None:
    report = examine(colour_tagger(), samples, HeldOut(), QUIET, familiar=["blue cat"])
    (suite,) = report.suites
    assert [row.label for row in suite.classes if row.is_familiar] == ["blue"]
    unfamiliar = suite.figures[SERVED].unfamiliar
    assert unfamiliar is not None
    assert (unfamiliar.classes, unfamiliar.top1) == (2, 1.0)


def test_other_numbers_of_clips_are_tried_on_videos(tmp_path: Path) -> None:
    videos = []
    for colour in ("red", "green"):
        path = tmp_path / f"{colour}.mp4"
        write_clip(path, seconds_colours=[colour])
        videos.append(Sample(path, "", colour, (), "videos", "test"))
    report = examine(colour_tagger(), videos, HeldOut(), replace(QUIET, clips=(1, 25)))
    by_clips = report.suites[0].by_clips
    assert {count: top1.value for count, top1 in by_clips.items()} == {1: 1.0, 25: 1.0}
    assert "still picture" not in as_html(report)


def test_a_report_of_still_pictures_explains_that_more_clips_change_nothing(report: Report) -> None:
    assert report.suites[0].by_clips == {}
    assert "one (as here) or 25, they are the same" in as_html(report)


def test_nothing_to_test_is_an_error(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="only 1 unseen test class"):
        examine(colour_tagger(), samples, HeldOut(test=("red",)), QUIET)


def test_the_map_ties_each_label_to_a_clip_of_its_own(report: Report) -> None:
    plane = report.suites[0].map
    nearest = {label.label: plane.clips[label.nearest].label for label in plane.labels}
    assert nearest["red"] == "red"
    assert nearest["green"] in ("green", "blue")


def addresses(page: str) -> Iterator[str]:
    yield from re.findall(r'(?:src|href)="([^"]*)"', page)
    yield from re.findall(r"url\(([^)]*)\)", page)


def test_the_page_is_self_contained(report: Report) -> None:
    page = as_html(report)
    found = list(addresses(page))
    assert found
    assert all(address.startswith("data:image/") for address in found)
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_pictures_of_clips_are_shown_on_request_only(samples: list[Sample]) -> None:
    without = examine(colour_tagger(), samples, HeldOut(), QUIET)
    assert "image/jpeg" not in as_html(without)


def test_pictures_of_clips_never_enter_the_json(report: Report) -> None:
    assert "image/jpeg" in as_html(report)
    assert "image/jpeg" not in json.dumps(as_document(report))


def test_names_are_shown_as_text(samples: list[Sample], tmp_path: Path) -> None:
    odd = [picture(tmp_path, label, 0) for label in ("<b> red", "<i> green")]
    page = as_html(examine(colour_tagger(), odd, HeldOut(), QUIET))
    assert "<b> red" not in page
    assert "&lt;b&gt; red" in page


def test_the_report_is_written_as_page_and_json(report: Report, tmp_path: Path) -> None:
    page = write_report(report, tmp_path / "report")
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert page.read_text().startswith("<!doctype html>")
    served = document["suites"][0]["figures"]["served"]
    assert served["top1"]["value"] == pytest.approx(6 / 9, abs=1e-5)


def test_the_same_report_gives_the_same_page(report: Report) -> None:
    assert as_html(report) == as_html(report)
