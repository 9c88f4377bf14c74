"""Shards hold the labelled spans, re-encoded for training, and are read in place."""

import io
import json
import tarfile
from pathlib import Path

import av
import numpy as np

from model.training.config import BatchConfig
from model.training.data.batches import StepBatches
from model.training.data.manifest import Sample, read_manifest
from model.training.data.readers import read_clips, read_pair, read_picture
from model.training.data.sharding import ShardConfig, write_shards
from model.training.data.step_plans import StepPlans
from model.video.sampling import SamplingConfig
from tests.support.clips import COLOURS, read_number, write_clip
from tests.support.training_tree import picture_bytes, write_clips

SMALL = ShardConfig(short_side=48, gop=4)


def clip(folder: Path, name: str = "a.mp4", **options: object) -> Sample:
    write_clip(folder / name, **options)  # type: ignore[arg-type]  # passed on as they are
    return Sample(folder / name, "", "juggling", (), "mine", "train")


def member_bytes(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def test_members_share_a_key_as_webdataset_wants(tmp_path: Path) -> None:
    samples = read_manifest(write_clips(tmp_path / "clips"))

    sharded = write_shards(samples, tmp_path / "out", SMALL)

    with tarfile.open(tmp_path / "out" / "shard-000000.tar") as tar:
        names = tar.getnames()
        groups: dict[str, list[str]] = {}
        for name in names:
            key, _, ending = name.partition(".")
            groups.setdefault(key, []).append(ending)
        # a key's members follow each other, as a stream is grouped by its reader
        assert [name.partition(".")[0] for name in names] == [k for k in groups for _ in (0, 1)]
        assert list(groups.values()) == [["mp4", "json"]] * len(samples)
        about = [json.loads(member_bytes(tar, f"{key}.json")) for key in groups]
    assert sorted(entry["label"] for entry in about) == sorted(s.label for s in samples)
    assert sharded.samples == len(samples)
    assert sharded.skipped == ()


def test_a_shard_is_read_in_place_with_the_frames_of_the_original(tmp_path: Path) -> None:
    original = clip(
        tmp_path, seconds_colours=["grey"] * 2, numbered=True, width=192, height=144, fps=10
    )
    (row,) = read_manifest(write_shards([original], tmp_path / "out", SMALL).manifest)
    every = SamplingConfig(1, 20)

    frames = read_clips(row, every, 48)

    assert frames.shape == (20, 48, 64, 3)
    assert [read_number(frame) for frame in frames] == list(range(20))
    assert (row.label, row.dataset, row.split) == ("juggling", "mine", "train")


def test_a_shards_video_has_the_configured_short_side_and_keyframes(tmp_path: Path) -> None:
    original = clip(tmp_path, width=192, height=144, audio=True, gop=250)
    (row,) = read_manifest(write_shards([original], tmp_path / "out", SMALL).manifest)

    with tarfile.open(row.path) as tar:
        payload = io.BytesIO(member_bytes(tar, row.member))
    with av.open(payload, "r") as container:
        assert [stream.type for stream in container.streams] == ["video"]
        video = container.streams.video[0]
        assert (video.width, video.height, video.codec_context.name) == (64, 48, "h264")
        keys = [
            number for number, packet in enumerate(container.demux(video)) if packet.is_keyframe
        ]
    assert keys[0] == 0
    assert max(np.diff(keys)) <= SMALL.gop


def test_a_turned_video_is_written_upright(tmp_path: Path) -> None:
    original = clip(tmp_path, width=64, height=48, rotation=90)
    (row,) = read_manifest(write_shards([original], tmp_path / "out", SMALL).manifest)

    assert read_clips(row, SamplingConfig(1, 1), 48).shape == (1, 64, 48, 3)


def test_only_the_labelled_span_is_written(tmp_path: Path) -> None:
    whole = clip(tmp_path, seconds_colours=["red", "green", "blue"])
    span = Sample(whole.path, "", "greening", (), "mine", "", 1.0, 2.0)
    (row,) = read_manifest(write_shards([span], tmp_path / "out", SMALL).manifest)

    frames = read_clips(row, SamplingConfig(1, 5), 48)

    assert (row.start_seconds, row.end_seconds) == (None, None)
    for frame in frames:
        assert np.abs(frame.mean(axis=(0, 1)) - COLOURS["green"]).max() < 12


def test_nothing_is_made_larger(tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    picture.write_bytes(picture_bytes("red", size=(40, 32)))
    samples = [clip(tmp_path), Sample(picture, "", "red", (), "mine", "")]
    rows = read_manifest(write_shards(samples, tmp_path / "out").manifest)

    shapes = {
        row.is_picture: (
            read_picture(row, 32) if row.is_picture else read_clips(row, SamplingConfig(1, 1), 48)
        ).shape
        for row in rows
    }
    assert shapes == {True: (1, 32, 40, 3), False: (1, 48, 64, 3)}


def test_a_pair_of_pictures_stays_together(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(picture_bytes(colour))
    pair = Sample(
        tmp_path / "red.png", "", "", ("a", "b"), "m", "", pair=str(tmp_path / "blue.png")
    )
    (row,) = read_manifest(write_shards([pair], tmp_path / "out").manifest)

    first, last = read_pair(row, 32)

    assert row.captions == ("a", "b")
    assert first[..., 0].mean() > 200
    assert last[..., 2].mean() > 200


def test_a_shard_ends_before_it_is_too_large(tmp_path: Path) -> None:
    samples = read_manifest(write_clips(tmp_path / "clips", each=2))
    limit = 20_000

    manifest = write_shards(
        samples, tmp_path / "out", ShardConfig(short_side=48, max_bytes=limit)
    ).manifest

    shards = sorted((tmp_path / "out").glob("*.tar"))
    assert len(shards) > 1
    # a tar is padded to whole records of 10 KiB
    assert all(shard.stat().st_size <= limit + 10_240 for shard in shards)
    assert {row.path for row in read_manifest(manifest)} == set(shards)
    assert list((tmp_path / "out").glob("*.partial")) == []


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    late = Sample(clip(tmp_path).path, "", "juggling", (), "mine", "", 9.0, 10.0)

    sharded = write_shards(
        [Sample(broken, "", "x", (), "", ""), late, clip(tmp_path, "b.mp4")],
        tmp_path / "out",
        SMALL,
    )

    assert sharded.samples == 1
    assert sorted(line.split(": ")[0] for line in sharded.skipped) == [
        str(late.path),
        str(broken),
    ]


def test_shards_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    samples = read_manifest(write_clips(tmp_path / "clips"))

    for workers in (1, 2):
        write_shards(samples, tmp_path / str(workers), SMALL, workers=workers)

    one, two = ((tmp_path / w / "shard-000000.tar").read_bytes() for w in ("1", "2"))
    assert one == two


def test_batches_come_from_shards(tmp_path: Path) -> None:
    samples = read_manifest(write_clips(tmp_path / "clips"))
    rows = read_manifest(write_shards(samples, tmp_path / "out", SMALL).manifest)
    batch = BatchConfig(short_side=32, side=32, videos=4)

    plans = StepPlans(rows, [[0]] * len(rows), batch, bank_size=1, candidates=0, seed=0)
    batches = StepBatches(plans, SamplingConfig(1, 2), steps=3)

    assert [batches[step].skipped for step in range(3)] == [0, 0, 0]
    assert batches[0].pixels[0].shape == (4, 1, 2, 3, 32, 32)
