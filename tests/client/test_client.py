"""The client against a running service."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.main import create_app
from app.settings import Settings
from kinolex_client import Kinolex, answers, problems
from kinolex_client.videos import Video
from tests.support.clips import clip_bytes
from tests.support.fakes import colour_tagger
from tests.support.keys import issue_key
from tests.support.servers import running_server

CLIP = clip_bytes(seconds_colours=["red"] * 4 + ["blue"] * 4)
RED = clip_bytes(seconds_colours=["red"])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running service, shared by the tests of this file."""
    folder = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=folder, decode_workers=1, log_level="error")
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        yield address


@pytest.fixture
def kinolex(address: str) -> Iterator[Kinolex]:
    """A client of the service."""
    with Kinolex(address) as client:
        yield client


class _Pipe(io.RawIOBase):
    """A file that cannot seek, such as the end of a pipe."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override]  # a buffer is all that is needed
        return self._content.readinto(buffer)


def test_a_video_is_given_as_path_bytes_file_or_pipe(kinolex: Kinolex, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(RED)
    with path.open("rb") as file:
        given: list[Video] = [
            path,
            str(path),
            RED,
            io.BytesIO(RED),
            file,
            io.BufferedReader(_Pipe(RED)),
        ]
        found = [kinolex.classify(video, labels=["red", "blue"]) for video in given]

    assert {answer.video.sha256 for answer in found} == {found[0].video.sha256}
    assert {answer.tags[0].label for answer in found} == {"red"}


def test_options_are_sent_and_answers_are_typed(kinolex: Kinolex) -> None:
    answer = kinolex.classify(
        CLIP, labels=["red", "blue, dark"], granularity="segments", top_k=2, hysteresis=False
    )

    assert [segment.tags[0].label for segment in answer.segments] == ["red", "blue, dark"]
    assert answer.segments[0].start == 0.0
    assert answer.windows is not None
    assert answer.windows.count > 1
    assert isinstance(answer.segments[0].tags[0].mean_score, float)


def test_options_too_long_for_an_address_are_sent_as_a_form(kinolex: Kinolex) -> None:
    labels = ["red", *(f"a label with many letters, number {n}, {'x' * 150}" for n in range(500))]

    assert kinolex.classify(RED, labels=labels, top_k=1).tags[0].label == "red"


def test_events_are_progress_then_the_result(kinolex: Kinolex) -> None:
    # a line separator of Unicode, which is no end of a line in a stream of events
    labels = ["red", "blue\u2028dark"]
    events = list(
        kinolex.classify_events(
            CLIP, labels=labels, granularity="segments", window_seconds=1, stride_seconds=1
        )
    )

    *progress, result = events
    assert isinstance(result, answers.Classification)
    assert sum(len(e.windows) for e in progress if isinstance(e, answers.Progress)) == 8
    assert result.segments[0].tags[0].label == "red"


def test_a_problem_in_the_stream_is_raised(kinolex: Kinolex) -> None:
    with pytest.raises(problems.LabelSetNotFound):
        list(kinolex.classify_events(RED, label_set="nowhere", granularity="segments"))


def test_labels_are_written_listed_taught_and_removed(kinolex: Kinolex) -> None:
    written = kinolex.put_labels(["red", {"name": "AC/DC, live", "aliases": ["blue"]}])
    names = [label.name for label in kinolex.labels(containing="ac/dc")]
    taught = kinolex.add_example("AC/DC, live", CLIP)
    label = kinolex.label("ac/dc, LIVE")
    kinolex.delete_label("AC/DC, live")

    assert written.label_set.revision >= 1
    assert names == ["AC/DC, live"]
    assert (taught.added, taught.examples) == (1, 1)
    assert (label.name, label.aliases) == ("AC/DC, live", ["blue"])
    with pytest.raises(problems.LabelNotFound) as caught:
        kinolex.label("AC/DC, live")
    assert (caught.value.code, caught.value.status) == ("label_not_found", 404)


def test_label_sets_are_created_replaced_and_deleted(kinolex: Kinolex) -> None:
    created = kinolex.create_label_set("sports", ["rowing"])
    kinolex.put_labels([f"sport {n}" for n in range(120)], label_set="sports")
    assert len(list(kinolex.labels(label_set="sports"))) == 121

    with pytest.raises(problems.RevisionMismatch):
        kinolex.replace_label_set("sports", ["skiing"], revision=created.label_set.revision)
    kinolex.create_label_set("winter", copy_of="sports")
    assert {each.name for each in kinolex.label_sets()} >= {"default", "sports", "winter"}
    kinolex.delete_label_set("sports")
    kinolex.delete_label_set("winter")


def test_kept_videos_are_asked_searched_and_deleted(kinolex: Kinolex) -> None:
    kept = kinolex.classify(
        CLIP, labels=["red"], keep=True, metadata={"camera": "north"}, granularity="segments"
    )
    sha256 = kept.video.sha256
    again = kinolex.classify_kept(sha256, labels=["blue"], granularity="segments")
    found = kinolex.search("red", metadata={"camera": "north"}, min_score=0.1)
    alike = kinolex.search_clip(RED, page_size=1)

    assert kept.kept
    assert again.segments[0].start > 0
    assert found.items[0].video.sha256 == alike.items[0].video.sha256 == sha256
    assert [each.sha256 for each in kinolex.kept_videos(min_duration=1)] == [sha256]
    assert kinolex.kept_video(sha256).metadata == {"camera": "north"}
    assert kinolex.delete_video(sha256) == 1


def test_a_job_is_waited_for(kinolex: Kinolex) -> None:
    job = kinolex.create_job(CLIP, labels=["red"], idempotency_key="one")
    result = kinolex.wait_for_job(job.id)
    same = kinolex.create_job(CLIP, labels=["red"], idempotency_key="one")

    assert result.tags[0].label == "red"
    assert same.id == job.id
    assert [each.id for each in kinolex.jobs("succeeded")] == [job.id]


def test_a_job_that_fails_raises_its_problem(kinolex: Kinolex) -> None:
    job = kinolex.create_job(b"no video at all", labels=["red"])

    with pytest.raises(problems.NotAVideo):
        kinolex.wait_for_job(job.id)
    assert kinolex.cancel_job(job.id).status == "failed"


def test_embeddings_of_texts_and_videos_lie_in_one_space(kinolex: Kinolex) -> None:
    texts = kinolex.embed_texts(["red", "blue"])
    video = kinolex.embed_video(RED, decode="exact")

    assert texts.text_space == video.text_space
    assert video.embeddings[0] == pytest.approx(texts.embeddings[0], abs=0.2)
    assert kinolex.model() == texts.model


def test_a_fault_of_an_option_is_pointed_to(kinolex: Kinolex) -> None:
    with pytest.raises(problems.InvalidParameter) as caught:
        kinolex.classify(RED, min_score=2)

    assert [(fault.pointer, fault.part) for fault in caught.value.faults] == [
        ("#/min_score", "query")
    ]


def test_a_key_is_sent(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    key = issue_key(settings, "classify").token.text
    with running_server(create_app(settings, tagger=colour_tagger())) as address:
        with Kinolex(address, key=key) as kinolex:
            assert kinolex.classify(RED, labels=["red"]).tags
            with pytest.raises(problems.ScopeMissing):
                list(kinolex.labels())
        with Kinolex(address, key=f"{key}\r\n") as kinolex:  # as a file may hold it
            assert kinolex.model().id
        for none in (None, ""):
            with Kinolex(address, key=none) as kinolex, pytest.raises(problems.KeyRequired):
                kinolex.model()
