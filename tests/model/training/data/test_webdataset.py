"""WebDataset tars, our own and those of other tools, become manifest rows."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from model.training.data.layouts import LayoutError, import_layout
from model.training.data.manifest import Sample, read_manifest
from model.training.data.readers import read_pair
from model.training.data.sharding import write_shards
from tests.support.training_tree import picture_bytes, write_clips, write_pictures


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, payload in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(payload)
            tar.addfile(entry, io.BytesIO(payload))
    return path


def known(sample: Sample) -> tuple[str, ...]:
    return (sample.member, sample.label, sample.dataset, sample.split, sample.pair)


def test_shards_that_lost_their_manifest_get_the_same_one_again(tmp_path: Path) -> None:
    samples = read_manifest(write_pictures(tmp_path / "p"))[:3]
    samples += [replace(s, split="train") for s in read_manifest(write_clips(tmp_path / "c"))[:2]]
    samples += [replace(samples[0], pair=samples[1].member)]
    written = write_shards(samples, tmp_path / "shards")
    before = read_manifest(written.manifest)

    found = import_layout("webdataset", tmp_path / "shards")

    assert sorted(map(known, found.samples)) == sorted(map(known, before))
    assert found.unlabelled == 0
    (pair,) = [sample for sample in found.samples if sample.pair]
    assert len(read_pair(pair, 32)) == 2


def test_tars_of_others_have_captions_in_text_files_or_json(tmp_path: Path) -> None:
    members = {
        "a/one.jpg": picture_bytes("red"),
        "a/one.txt": b"a red\nwall",
        "two.png": picture_bytes("blue"),
        "two.json": json.dumps({"caption": "a blue wall"}).encode(),
        "three.png": picture_bytes("blue"),
        "three.cls": b"7",
        "four.txt": b"words without a picture",
    }
    tar_of(tmp_path / "walls" / "000.tar", members)

    found = import_layout("webdataset", tmp_path / "walls")

    assert {(s.member, s.captions, s.dataset) for s in found.samples} == {
        ("a/one.jpg", ("a red wall",), "walls"),
        ("two.png", ("a blue wall",), "walls"),
    }
    assert found.unlabelled == 1


@pytest.mark.parametrize(
    ("damage", "message"), [(b"no tar", "cannot be read as a shard"), (None, "is not valid JSON")]
)
def test_damage_is_named(tmp_path: Path, damage: bytes | None, message: str) -> None:
    tar = tar_of(tmp_path / "w" / "0.tar", {"a.png": picture_bytes("red"), "a.json": b"{"})
    if damage:
        tar.write_bytes(damage)

    with pytest.raises(LayoutError, match=message):
        import_layout("webdataset", tmp_path / "w")
