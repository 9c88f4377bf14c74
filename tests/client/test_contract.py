"""The client agrees with the service: options, answers, codes, and both kinds of client."""

import inspect
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel

import make_problems
import make_sync
from app.errors import KINDS
from app.labels.advice import Warned
from app.labels.fields import LabelFields
from app.routes.schemas import archive, embeddings, jobs, labels, system, videos
from app.routes.schemas.options import ClassifyOptions, QuestionOptions, VideoOptions
from app.routes.schemas.video_filter import SearchOptions
from kinolex_client import AsyncKinolex, Kinolex, answers, options, problems
from kinolex_client.errors import Problem
from tests.support.paths import ROOT

SCHEMAS: dict[type, type[BaseModel]] = {
    answers.Tag: videos.TagAnswer,
    answers.SegmentTag: videos.SegmentTagAnswer,
    answers.Segment: videos.SegmentAnswer,
    answers.WindowTag: videos.WindowTagAnswer,
    answers.Window: videos.WindowAnswer,
    answers.Progress: videos.ProgressAnswer,
    answers.Video: videos.VideoAnswer,
    answers.Unknown: videos.UnknownAnswer,
    answers.Windows: videos.WindowsAnswer,
    answers.Timestamps: videos.TimestampsAnswer,
    answers.Model: system.ModelAnswer,
    answers.SearchedSet: videos.LabelSetAnswer,
    answers.Classification: videos.ClassifyAnswer,
    answers.Job: jobs.JobAnswer,
    answers.Label: labels.LabelItem,
    answers.LabelSet: labels.SetAnswer,
    answers.Warned: Warned,
    answers.Written: labels.WriteAnswer,
    answers.Taught: labels.TaughtAnswer,
    answers.Embeddings: embeddings.EmbedAnswer,
    answers.KeptVideo: archive.KeptVideoAnswer,
    answers.FoundVideo: archive.FoundVideoAnswer,
    answers.FoundSpan: archive.FoundSpanAnswer,
    answers.Found: archive.SearchAnswer,
}


def test_every_answer_of_the_client_is_compared() -> None:
    defined = {each for _, each in inspect.getmembers(answers, is_dataclass)}

    assert defined == SCHEMAS.keys()


@pytest.mark.parametrize("answer", SCHEMAS, ids=lambda answer: answer.__name__)
def test_an_answer_has_the_fields_of_the_service(answer: Any) -> None:
    assert {field.name for field in fields(answer)} == SCHEMAS[answer].model_fields.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (options.VideoOptions, VideoOptions),
        (options.Question, QuestionOptions),
        (options.ClassifyOptions, ClassifyOptions),
        (options.JobOptions, jobs.JobOptions),
        (options.ClipSearchOptions, SearchOptions),
        (options.LabelFields, LabelFields),
    ],
    ids=lambda each: each.__name__,
)
def test_the_options_are_those_of_the_service(ours: Any, theirs: type[BaseModel]) -> None:
    assert get_type_hints(ours).keys() == theirs.model_fields.keys()


def test_there_is_an_error_for_every_code(tmp_path: Path) -> None:
    make_problems.write(tmp_path / "problems.py")

    written = (tmp_path / "problems.py").read_text()
    assert written == Path(problems.__file__).read_text(), "run: python client/make_problems.py"
    assert all(f'known_code = "{code}"' in written for code in KINDS)


def test_an_error_of_a_newer_service_is_still_a_problem() -> None:
    document = {"code": "new", "status": 422, "title": "T", "detail": "D", "request_id": "r"}

    problem = problems.problem_of(document)

    assert (type(problem), problem.code, str(problem)) == (Problem, "new", "D (new)")


def test_the_blocking_client_is_written_from_the_other(tmp_path: Path) -> None:
    make_sync.write(tmp_path)

    kept = ROOT / "client" / "kinolex_client" / "_sync"
    assert {path.name: path.read_text() for path in tmp_path.glob("*.py")} == {
        path.name: path.read_text() for path in kept.glob("*.py")
    }, "run: python client/make_sync.py"


def test_both_clients_have_the_same_methods() -> None:
    both = [
        {name for name, _ in inspect.getmembers(each, callable) if not name.startswith("_")}
        for each in (Kinolex, AsyncKinolex)
    ]

    assert both[0] - {"close"} == both[1] - {"aclose"}
