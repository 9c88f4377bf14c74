"""Containers that describe more than they hold are refused before FFmpeg reads them."""

import io

import pytest

from model.errors import ExpensiveVideo
from model.video.containers.checks import check_container
from model.video.reader import open_video
from tests.support import bombs
from tests.support.clips import clip_bytes
from tests.support.floods import HIDDEN

BOMBS = {
    "key systems": bombs.movie(in_movie=[bombs.key_systems(100)]),
    "samples without a size": bombs.movie(samples=45_000_000, listed=False),
    "samples of many tracks": bombs.movie(samples=300_000, listed=False, tracks=4),
    "edits of the whole film": bombs.movie(samples=1_000, edits=1_000),
    "many edits": bombs.movie(edits=20_000),
    "tags of a movie": bombs.movie(in_movie=[bombs.movie_tags(3_000)]),
    "tags of its user data": bombs.movie(
        in_movie=[bombs.box(b"udta", bombs.box(b"\xa9abc", b"x") * 3_000)]
    ),
    "tracks of a movie": bombs.movie(tracks=200),
    "pictures of a movie": bombs.movie(tracks=20),
    "sample descriptions": bombs.movie(
        in_table=[bombs.full_box(b"stsd", bombs.u32(2_000), bytes(16 * 2_000))]
    ),
    "boxes": bombs.movie(in_movie=[bombs.box(b"free") * 20_000]),
    "a header that inflates": bombs.compressed_movie(20_000_000),
    "samples of fragments": bombs.movie() + bombs.fragment(70_000_000),
    "samples of many fragments": bombs.movie() + bombs.fragment(10_000) * 200,
    "fragments": bombs.movie() + bombs.fragment(0) * 60_000,
    "indexes of fragments": bombs.movie() + bombs.fragment_index(10_000) * 6,
    "tags of a matroska file": bombs.matroska(bombs.matroska_tags(3_000)),
    "chapters": bombs.matroska(bombs.matroska_chapters(6_000)),
    "attachments": bombs.matroska(bombs.matroska_attachments(300)),
    "cues out of order": bombs.matroska(bombs.matroska_cues(8_000)),
    "tracks of a matroska file": bombs.matroska(tracks=20),
    "frames compressed twice": bombs.matroska(in_track=bombs.COMPRESSED),
    "streams of a broadcast": bombs.transport_of_streams(300),
    "programs of a broadcast": bombs.transport_of_programs(400),
    "names in the script of an FLV": bombs.flv_of_names(3_000),
    "tags of an ASF file": bombs.asf_of_tags(3_000),
    "indexes of an AVI": bombs.avi_of_indexes(2, 800_000),
}
ORDINARY = {
    "mp4": clip_bytes(audio=True),
    "fragmented mp4": clip_bytes(
        gop=2, container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ),
    "matroska": clip_bytes(container="matroska", audio=True),
    "webm": clip_bytes(container="webm", codec="libvpx"),
    "mpegts": clip_bytes(container="mpegts", audio=True),
    "avi": clip_bytes(container="avi", codec="mpeg4"),
    "flv": bombs.flv_of_names(20),
    "ogg": clip_bytes(codec="libvpx", container="ogg"),
    "asf": clip_bytes(codec="wmv2", container="asf"),
    "a movie of the builder": bombs.movie(samples=20, edits=2, in_movie=[bombs.movie_tags(20)]),
    "a matroska file of the builder": bombs.matroska(
        bombs.matroska_tags(20), bombs.matroska_chapters(20), bombs.matroska_cues(20)
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_container_that_describes_too_much_is_refused(kind: str) -> None:
    with pytest.raises(ExpensiveVideo, match=r"the container describes|a second time"):
        check_container(io.BytesIO(BOMBS[kind]))


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_many_other_parts_hide_is_found(kind: str) -> None:
    with pytest.raises(ExpensiveVideo, match="the container describes"):
        check_container(io.BytesIO(HIDDEN[kind]()))


@pytest.mark.parametrize("kind", ORDINARY)
def test_an_ordinary_container_passes(kind: str) -> None:
    with open_video(io.BytesIO(ORDINARY[kind])) as video:
        assert video.info.duration_seconds > 0


@pytest.mark.parametrize("kind", ORDINARY)
def test_a_container_cut_off_anywhere_passes(kind: str) -> None:
    data = ORDINARY[kind]
    for end in range(0, len(data), max(1, len(data) // 50)):
        check_container(io.BytesIO(data[:end]))


@pytest.mark.parametrize("kind", ["tags of a matroska file", "edits of the whole film"])
def test_a_video_is_refused_where_it_is_opened(kind: str) -> None:
    with pytest.raises(ExpensiveVideo), open_video(io.BytesIO(BOMBS[kind])):
        pass


def test_tags_behind_a_cluster_of_unknown_size_are_found() -> None:
    cluster = bombs.endless_element("1f43b675", bombs.element("e7", b"\0"))

    def head(position: int) -> bytes:
        target = bombs.element("53ac", position.to_bytes(8, "big"))
        return bombs.element("114d9b74", bombs.element("4dbb", target))

    before = head(len(head(0)) + len(cluster)) + cluster
    file = bombs.endless_element("18538067", before, bombs.matroska_tags(3_000))
    with pytest.raises(ExpensiveVideo):
        check_container(io.BytesIO(bombs.element("1a45dfa3") + file))
