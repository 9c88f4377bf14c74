"""A batch depends on its step number alone, for any order and any number of processes."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.errors import VideoError
from model.training.config import BatchConfig
from model.training.data.batches import StepBatches
from model.training.data.manifest import Sample, read_manifest
from model.training.data.readers import read_clips
from model.training.data.step_plans import StepPlans
from model.training.distributed import DistributedRank
from model.video.sampling import SamplingConfig
from tests.support.clips import read_number, write_clip
from tests.support.training_tree import picture_bytes, write_clips, write_pictures

BATCH = BatchConfig(short_side=32, side=32, pictures=8, videos=4, smallest_crop=0.5)
SAMPLING = SamplingConfig(1, 2)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("tree")
    pictures = read_manifest(write_pictures(folder / "pictures"))
    return pictures + read_manifest(write_clips(folder / "clips"))


def batches(
    samples: list[Sample],
    batch: BatchConfig = BATCH,
    *,
    sampling: SamplingConfig = SAMPLING,
    steps: int = 12,
    seed: int = 7,
    rank: int = 0,
    world_size: int = 1,
) -> StepBatches:
    names = sorted({sample.label for sample in samples})
    rows = [[names.index(sample.label)] for sample in samples]
    plans = StepPlans(samples, rows, batch, bank_size=len(names), candidates=3, seed=seed)
    return StepBatches(plans, sampling, steps, DistributedRank(rank, world_size))


def test_a_batch_depends_on_its_step_alone(samples: list[Sample]) -> None:
    in_order = [batches(samples)[step] for step in range(6)]
    shuffled = batches(samples)
    steps = list(range(6))
    random.Random(0).shuffle(steps)

    for step in steps:
        again, first = shuffled[step], in_order[step]
        assert all(map(torch.equal, again.pixels, first.pixels))
        assert torch.equal(again.target_rows, first.target_rows)
        assert torch.equal(again.candidates, first.candidates)
    assert not torch.equal(in_order[0].pixels[0], in_order[1].pixels[0])


def test_another_seed_gives_other_batches(samples: list[Sample]) -> None:
    one, other = (batches(samples, seed=seed)[0] for seed in (1, 2))

    assert not any(map(torch.equal, one.pixels, other.pixels))


def test_two_processes_together_see_what_one_alone_would(samples: list[Sample]) -> None:
    whole = batches(samples)[0]
    shares = [batches(samples, rank=rank, world_size=2)[0] for rank in (0, 1)]

    for kind, pixels in enumerate(whole.pixels):
        interleaved = torch.stack([share.pixels[kind] for share in shares], dim=1).flatten(0, 1)
        assert torch.equal(interleaved, pixels)
    rows = torch.stack([share.target_rows for share in shares], dim=1).flatten()
    assert torch.equal(rows, whole.target_rows)
    for share in shares:
        assert torch.equal(share.candidates, whole.candidates)


def test_every_step_holds_pictures_and_videos(samples: list[Sample]) -> None:
    both = batches(samples)

    for step in range(3):
        shapes = [tuple(pixels.shape) for pixels in both[step].pixels]
        assert shapes == [(8, 1, 1, 3, 32, 32), (4, 1, 2, 3, 32, 32)]
        kinds = [samples[row].is_picture for row in both.plan(step).samples]
        assert kinds == [True] * 8 + [False] * 4
    assert {pixels.dtype for pixels in both[0].pixels} == {torch.uint8}


def test_one_kind_is_enough(samples: list[Sample]) -> None:
    videos = [sample for sample in samples if not sample.is_picture]

    assert [len(pixels) for pixels in batches(videos)[0].pixels] == [4]
    assert [len(pixels) for pixels in batches(samples, replace(BATCH, pictures=0))[0].pixels] == [4]
    with pytest.raises(ValueError, match="takes 8 pictures and 0 videos; there are 0 and 4"):
        batches(videos, replace(BATCH, videos=0))


def test_pieces_are_of_one_kind_and_make_up_the_batch(samples: list[Sample]) -> None:
    batch = batches(samples)[0]
    pieces = list(batch.pieces(3))

    assert [[len(each) for each in pixels] for pixels, _ in pieces] == [[3], [3], [2], [3], [1]]
    assert torch.equal(torch.cat([rows for _, rows in pieces]), batch.target_rows)
    for kind, places in ((0, slice(0, 3)), (1, slice(3, None))):
        assert torch.equal(torch.cat([p[0] for p, _ in pieces[places]]), batch.pixels[kind])
    ((pixels, rows),) = batch.pieces(0)
    assert (len(pixels), len(rows)) == (2, 12)


def test_targets_point_at_the_samples_own_text(samples: list[Sample]) -> None:
    every = batches(samples)
    names = sorted({sample.label for sample in samples})
    plan, batch = every.plan(0), every[0]

    shown = [names[row] for row in batch.candidates[batch.target_rows].tolist()]
    assert shown == [samples[row].label for row in plan.samples]


def test_a_broken_file_is_replaced_by_one_of_its_kind_and_counted(
    samples: list[Sample], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos = [sample for sample in samples if not sample.is_picture]
    pictures = [sample for sample in samples if sample.is_picture]
    mixed = [replace(videos[0], path=broken), *videos[1:], *pictures]
    every = batches(mixed, steps=20)

    seen = [(every.plan(step).samples, every[step]) for step in range(12)]
    assert any(0 in rows for rows, _ in seen)
    for rows, batch in seen:
        assert [len(pixels) for pixels in batch.pixels] == [BATCH.pictures, BATCH.videos]
        assert (batch.skipped > 0) == (0 in rows)


def test_a_picture_that_its_shard_lacks_is_skipped_too(samples: list[Sample]) -> None:
    pictures = [sample for sample in samples if sample.is_picture]
    mixed = [replace(pictures[0], member="gone.png"), *pictures[1:]]

    skipped = sum(batches(mixed)[step].skipped for step in range(12))

    assert skipped > 0


def test_a_source_of_unreadable_files_is_an_error(tmp_path: Path) -> None:
    gone = [Sample(tmp_path / f"{n}.mp4", "", "red", (), "d", "") for n in range(3)]

    with pytest.raises(VideoError, match="20 files in a row"):
        batches(gone)[0]


@pytest.mark.parametrize(("power", "share"), [(1.0, 0.9), (0.5, 0.75), (0.0, 0.5)])
def test_sources_are_drawn_by_their_size_tempered(power: float, share: float) -> None:
    large = [Sample(Path("a.jpg"), "", "red", (), "large", "")] * 90
    little = [Sample(Path("b.jpg"), "", "blue", (), "little", "")] * 10
    every = batches([*large, *little], replace(BATCH, temper=power, pictures=100), steps=100)

    drawn = Counter(int(row) < 90 for step in range(100) for row in every.plan(step).samples)

    # 10,000 draws: the standard error of a share is at most 0.005
    assert drawn[True] / drawn.total() == pytest.approx(share, abs=0.02)


def test_an_epoch_shows_no_sample_twice_and_the_next_is_shuffled_anew() -> None:
    samples = [Sample(Path(f"{n}.mp4"), "", "red", (), "d", "") for n in range(12)]
    every = batches(samples, replace(BATCH, videos=4, epoch_samples=100))

    epochs = [
        np.concatenate([every.plan(step).samples for step in range(start, start + 3)])
        for start in (0, 3)
    ]

    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 2
    assert list(epochs[0]) != list(epochs[1])


def test_an_epoch_may_stop_before_it_has_seen_everything() -> None:
    samples = [Sample(Path(f"{n}.mp4"), "", "red", (), "d", "") for n in range(50)]
    every = batches(samples, replace(BATCH, videos=4, epoch_samples=8))

    epochs = [
        {int(row) for step in (first, first + 1) for row in every.plan(step).samples}
        for first in range(0, 10, 2)
    ]

    assert all(len(epoch) == 8 for epoch in epochs)
    assert len(set().union(*epochs)) > 16


def test_consecutive_clips_start_at_any_frame_and_run_on(tmp_path: Path) -> None:
    path = tmp_path / "numbered.mp4"
    write_clip(path, seconds_colours=["grey"] * 2, fps=10, numbered=True, width=96)
    sample = Sample(path, "", "red", (), "d", "")
    consecutive = SamplingConfig(1, 16, "consecutive")

    starts = set()
    for seed in range(60):
        frames = read_clips(sample, consecutive, 48, rng=np.random.default_rng(seed))
        numbers = [read_number(frame) for frame in frames]
        assert numbers == list(range(numbers[0], numbers[0] + 16))
        starts.add(numbers[0])
    assert starts == set(range(5))
    assert batches([sample], sampling=consecutive)[0].pixels[0].shape == (4, 1, 16, 3, 32, 32)


def test_a_span_past_the_end_of_its_video_is_skipped(samples: list[Sample]) -> None:
    videos = [sample for sample in samples if not sample.is_picture]
    mixed = [replace(videos[0], start_seconds=9.0, end_seconds=12.0), *videos[1:]]

    assert sum(batches(mixed)[step].skipped for step in range(12)) > 0


def test_a_picture_becomes_a_moving_clip_of_several_frames(samples: list[Sample]) -> None:
    pictures = [sample for sample in samples if sample.is_picture]
    clip = batches(pictures, replace(BATCH, picture_frames=4))[0].pixels[0]

    assert clip.shape == (8, 1, 4, 3, 32, 32)
    assert all(not torch.equal(one[0, 0], one[0, -1]) for one in clip)


def test_a_pair_of_pictures_is_a_clip_from_the_first_to_the_second(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(picture_bytes(colour))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,pair,label,dataset\nred.png,blue.png,turning blue,pairs\n")
    pair = read_manifest(manifest)

    clip = batches(pair, replace(BATCH, pictures=2, picture_frames=4))[0].pixels[0]

    reds, blues = (
        clip[0, 0].float().mean(dim=(2, 3))[:, 0],
        clip[0, 0].float().mean(dim=(2, 3))[:, 2],
    )
    assert (reds > blues).tolist() == [True, True, False, False]
    single = batches(pair, replace(BATCH, pictures=32))[0].pixels
    assert len({bool(one[0, 0, 0].float().mean() > 128) for one in single[0]}) == 2
