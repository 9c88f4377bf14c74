"""A manifest lists all of its errors at once, and survives writing and reading."""

import tarfile
from pathlib import Path

import pytest

from model.training.data.manifest import (
    ManifestError,
    Sample,
    digest_of,
    read_manifest,
    write_manifest,
)
from model.training.data.readers import read_picture
from tests.support.training_tree import picture_bytes, write_pictures

HEADER = "path,shard,name,label,captions,start,end,dataset,split,pair"


def manifest(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_every_bad_row_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    write_pictures(tmp_path / "p", each=1)
    path = manifest(
        tmp_path,
        "a.mp4,,,juggling,,,,,,",
        "a.mp4,,,,,,,,,",
        ",,,juggling,,,,,,",
        "a.mp4,p/colours.zip,0.png,juggling,,,,,,",
        ",p/colours.zip,,juggling,,,,,,",
        "a.mp4,,,juggling,,soon,,,,",
        "a.mp4,,,juggling,,-1,,,,",
        "a.mp4,,,juggling,,5,4,,,",
        "b.mp4,,,juggling,,,,,,",
        "a.mp4,,,juggling",
        ",p/colours.zip,99.png,juggling,,,,,,",
        ",a.mp4,0.png,juggling,,,,,,",
        "a.mp4,,,juggling,,,,,,gone.png",
        "a.mp4,,,,a man juggles,1,2.5,,,",
    )

    with pytest.raises(ManifestError) as raised:
        read_manifest(path)

    head, *problems = str(raised.value).splitlines()
    assert head.endswith("12 bad rows")
    expected = {
        3: "needs a label or captions",
        4: "needs either `path` or `shard` and `name`",
        5: "needs either `path` or `shard` and `name`",
        6: "`shard` needs `name`",
        7: "start 'soon' is not a time in seconds",
        8: "start '-1' is not a time in seconds",
        9: "end 4.0 is not after start 5.0",
        10: f"no file {tmp_path / 'b.mp4'}",
        11: "has more or fewer cells than the header",
        12: f"{tmp_path / 'p' / 'colours.zip'} holds no 99.png",
        13: "cannot be read as a shard",
        14: f"no file {tmp_path / 'gone.png'}",
    }
    for (line, message), problem in zip(expected.items(), problems, strict=True):
        assert problem.startswith(f"line {line}: "), problem
        assert message in problem


def test_rows_become_samples(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    path = manifest(
        tmp_path,
        'a.mp4,,,"riding, a horse",,1,2.5,mine,train,',
        "a.mp4,,,,one || two ||,,,,,",
    )

    labelled, captioned = read_manifest(path)

    assert labelled == Sample(
        tmp_path / "a.mp4", "", "riding, a horse", (), "mine", "train", 1.0, 2.5
    )
    assert captioned.texts == ("one", "two")


def test_further_columns_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    path = manifest(tmp_path, "CC0,a.mp4,juggling", header="licence,path,label")

    assert read_manifest(path)[0].label == "juggling"


def test_a_spreadsheets_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    path = manifest(tmp_path, "a.mp4,juggling", header="\ufeffpath,label")

    assert read_manifest(path)[0].label == "juggling"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.csv", b"path;label\na.mp4;juggling\n"),
        ("manifest.csv", b"path,label\n\xff\xfe\xff,x\n"),
        ("manifest.csv", b'path,label\n"a.mp4,juggling\n'),
        ("manifest.csv", b""),
        ("manifest.parquet", b"PAR1 or not"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ManifestError):
        read_manifest(path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere\.csv"):
        read_manifest(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("name", ["out/manifest.csv", "out/manifest.parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    for part in ("a.mp4", "1.png", "2.png"):
        (tmp_path / part).write_bytes(b"")
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "1.png", "x.png")
    samples = [
        Sample(tmp_path / "a.mp4", "", 'say "hi", twice', (), "d", "train", 0.1, 1234567.25),
        Sample(tmp_path / "1.png", "", "", ("a wall", "red"), "", "", pair=str(tmp_path / "2.png")),
        Sample(tmp_path / "s.tar", "x.png", "wall", (), "walls", "test"),
    ]
    path = tmp_path / name
    path.parent.mkdir()

    write_manifest(path, samples)
    again = read_manifest(path)

    resolved = [sample.path.resolve() for sample in again]
    assert resolved == [sample.path.resolve() for sample in samples]
    assert digest_of(again) == digest_of(samples)
    assert [(s.dataset, s.split, s.member) for s in again] == [
        (s.dataset, s.split, s.member) for s in samples
    ]
    assert Path(again[1].pair).resolve() == (tmp_path / "2.png").resolve()


def test_shards_of_one_set_are_one_source_and_zips_are_sources_of_their_own() -> None:
    def source(path: str, member: str) -> str:
        return Sample(Path(path), member, "x", (), "kinetics", "").source

    assert source("k-000.tar", "a.mp4") == source("k-001.tar", "a.mp4") == "kinetics"
    assert source("a.mp4", "") == "kinetics"
    assert source("walls.zip", "a.png") == "walls.zip"


def test_the_digest_knows_what_rows_say_and_not_where_they_lie(tmp_path: Path) -> None:
    def sample(folder: str, label: str) -> Sample:
        return Sample(tmp_path / folder / "a.mp4", "", label, (), "", "")

    assert digest_of([sample("here", "judo")]) == digest_of([sample("there", "judo")])
    assert digest_of([sample("here", "judo")]) != digest_of([sample("here", "luge")])


def test_a_picture_in_a_tar_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(picture_bytes("blue"))
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "1.png", "red/x.png")
    sample = Sample(tmp_path / "s.tar", "red/x.png", "wall", (), "walls", "")

    frame = read_picture(sample, 32)

    assert frame.shape == (1, 32, 40, 3)
    assert frame[..., 2].mean() > 200
