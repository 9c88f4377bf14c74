"""Forms parsed while they arrive."""

from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import KINDS, MalformedRequest, MissingFile
from app.upload.multipart import MAX_FIELD_BYTES, MAX_FIELDS, MultipartReader

TYPE = "multipart/form-data; boundary=frontier"


def part(name: str, value: bytes, *, filename: str | None = None, extra: str = "") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{extra}\r\n'
    return head.encode() + value + b"\r\n"


END = b"--frontier--\r\n"


def parse_videos(
    body: bytes, step: int = 1 << 20, max_videos: int = 1
) -> tuple[list[bytes], list[tuple[str, str]]]:
    reader = MultipartReader(TYPE, max_videos=max_videos)
    videos: dict[int, bytes] = {}
    for start in range(0, len(body), step):
        for number, piece in reader.feed(body[start : start + step]):
            videos[number] = videos.get(number, b"") + piece
    reader.finish()
    assert list(videos) == list(range(len(videos)))
    return list(videos.values()), reader.fields


def parse(body: bytes, step: int = 1 << 20) -> tuple[bytes, list[tuple[str, str]]]:
    [video], fields = parse_videos(body, step)
    return video, fields


@given(
    video=st.binary(max_size=300)
    | st.sampled_from([b"\r\n--frontie", b"\r\n--frontierX", b"\r\n\r\n--", b"--frontier--"]),
    step=st.integers(1, 70),
)
def test_the_video_arrives_whole_however_the_body_is_cut(video: bytes, step: int) -> None:
    body = part("top_k", b"3") + part("file", video, filename="a.mp4") + part("labels", b"a") + END

    assert parse(body, step) == (video, [("top_k", "3"), ("labels", "a")])


@given(videos=st.lists(st.binary(max_size=40), min_size=1, max_size=4), step=st.integers(1, 70))
def test_several_videos_are_separated(videos: list[bytes], step: int) -> None:
    body = b"".join(part("file", video, filename="a.mp4") for video in videos) + END

    assert parse_videos(body, step, max_videos=4) == (videos, [])


def test_more_videos_than_allowed_are_malformed() -> None:
    with pytest.raises(MalformedRequest, match="2"):
        parse_videos(part("file", b"v") * 3 + END, max_videos=2)


def test_repeated_fields_keep_their_order() -> None:
    body = part("labels", b"one") + part("file", b"v") + part("labels", "zwei ü".encode()) + END

    assert parse(body)[1] == [("labels", "one"), ("labels", "zwei ü")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        part("file", b"video")[:-10],
        part("file", b"video"),
        part("file", b"video") + part("file", b"another") + END,
        part("file", b"video") + part("top_k", b"\xff\xfe") + END,
        b"--frontier\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
        b"--frontier\r\nno header at all\r\n\r\nx\r\n" + END,
        part("file", b"dmlkZW8=", extra="Content-Transfer-Encoding: base64\r\n") + END,
        part("file", b"v") + part("labels", b"x" * (MAX_FIELD_BYTES + 1)) + END,
        part("file", b"v") + part("labels", b"x") * (MAX_FIELDS + 1) + END,
        part("file", b"v", extra="X-Long: " + "x" * 100_000 + "\r\n") + END,
    ],
    ids=[
        "empty",
        "text",
        "cut in the video",
        "cut before the end",
        "two videos",
        "field that is not UTF-8",
        "part without a name",
        "part with a broken header",
        "base64",
        "long field",
        "many fields",
        "long header",
    ],
)
def test_what_is_not_such_a_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse(body)
    assert KINDS[MalformedRequest.code].status == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 300}",
    ],
)
def test_a_boundary_is_needed(content_type: str) -> None:
    with pytest.raises(MalformedRequest, match="boundary"):
        MultipartReader(content_type)


def test_the_error_for_a_file_under_another_name_gives_the_right_name() -> None:
    with pytest.raises(MissingFile, match="`file`, not `video`"):
        parse(part("video", b"bytes", filename="clip.mp4") + END)


@pytest.mark.parametrize("names", [("file", "other"), ("other", "file")])
def test_the_error_for_two_files_names_the_one_that_is_too_many(names: tuple[str, str]) -> None:
    body = b"".join(part(name, b"bytes", filename="clip.mp4") for name in names) + END

    with pytest.raises(MalformedRequest, match="`other` besides the part `file`"):
        parse(body)


def test_a_large_file_under_another_name_is_not_read_to_its_end() -> None:
    reader = MultipartReader(TYPE)
    reader.feed(part("video", b"x" * 1024 * 1024, filename="clip.mp4"))

    with pytest.raises(MissingFile, match="`file`, not `video`"):
        reader.feed(part("video", b"x" * 1024 * 1024, filename="clip.mp4"))


def test_a_long_file_name_is_no_fault() -> None:
    assert parse(part("file", b"video", filename="x" * 10_000 + ".mp4") + END) == (b"video", [])


def test_a_form_without_a_file_is_refused() -> None:
    with pytest.raises(MissingFile):
        parse(part("top_k", b"3") + END)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def number_of_yields(*chunks: bytes) -> list[int]:
    """How often the reader yields for each chunk."""
    counts: list[int] = []

    async def arriving() -> AsyncGenerator[bytes]:
        for chunk in chunks:
            counts.append(0)
            yield chunk

    async for _ in MultipartReader(TYPE).pieces(arriving()):
        counts[-1] += 1
    return counts


@pytest.mark.anyio
async def test_data_is_passed_on_as_it_arrives_and_what_takes_long_in_slices() -> None:
    head, rest = part("file", b"", filename="a.mp4")[:-2], b"\r\n"
    fields = part("labels", b"") * 1000
    data = b"\r\n--frontie" * 20_000 + b"x"

    counts = await number_of_yields(head, data, data, rest + fields + END)

    assert counts[:3] == [1, 1, 1]
    assert counts[3] > 1
