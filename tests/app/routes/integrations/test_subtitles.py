"""Subtitles as answers: FFmpeg reads them as players do."""

from pathlib import Path

import av
import pytest
from starlette.testclient import TestClient

from tests.support.clips import clip_bytes

CLIP = clip_bytes(seconds_colours=["red"] * 4 + ["blue"] * 4)
SEGMENTS = "&granularity=segments&window_seconds=1&stride_seconds=1"
FORMATS = [("text/vtt", "vtt"), ("application/x-subrip", "srt")]


def cues(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and text of each cue, as FFmpeg reads the file."""
    with av.open(str(path)) as container:
        [stream] = container.streams.subtitles
        return [
            (
                float(packet.pts * packet.time_base),
                float((packet.pts + packet.duration) * packet.time_base),
                bytes(packet).decode(),
            )
            for packet in container.demux(stream)
            if packet.pts is not None and packet.duration is not None
        ]


def ask(client: TestClient, labels: str, media_type: str, options: str = SEGMENTS) -> str:
    answer = client.post(
        f"/classify?labels={labels}{options}",
        content=CLIP,
        headers={"Content-Type": "video/mp4", "Accept": media_type},
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
    return answer.text


@pytest.mark.parametrize(("media_type", "ending"), FORMATS)
def test_each_segment_is_a_cue(
    media_type: str, ending: str, shared_client: TestClient, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{ending}"
    path.write_text(ask(shared_client, "red,blue", media_type + "", f"{SEGMENTS}&min_score=0.5"))

    (first, second) = cues(path)
    assert (first[:2], second[:2]) == ((0.0, 4.0), (4.0, 8.0))
    assert first[2].startswith("red (")
    assert second[2].startswith("blue (")


@pytest.mark.parametrize(("media_type", "ending"), FORMATS)
def test_without_segments_a_tag_has_a_cue_of_the_whole_length(
    media_type: str, ending: str, shared_client: TestClient, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{ending}"
    path.write_text(ask(shared_client, "red", media_type, ""))

    [(start, end, _)] = cues(path)
    assert (start, end) == (0.0, 8.0)


@pytest.mark.parametrize(("media_type", "ending"), FORMATS)
def test_a_label_cannot_write_cues_of_its_own(
    media_type: str, ending: str, shared_client: TestClient, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{ending}"
    label = "%22red --> 00:00:09.000 <b> %26 , x%22"
    path.write_text(ask(shared_client, label, media_type, "&top_k=5"))

    [(_, _, text)] = cues(path)
    assert "→" in text
    assert ("<b>" in text) == (ending == "srt")


def test_a_kept_video_is_answered_as_subtitles_too(client: TestClient) -> None:
    kept = client.post(
        "/classify?keep=true&labels=red", content=CLIP, headers={"Content-Type": "video/mp4"}
    )
    sha256 = kept.json()["video"]["sha256"]
    answer = client.post(
        f"/videos/{sha256}/classify",
        json={"labels": ["red"], "granularity": "segments"},
        headers={"Accept": "text/vtt"},
    )

    assert answer.text.startswith("WEBVTT\n\n00:00:00.000 --> ")
