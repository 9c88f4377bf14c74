"""What a source may be: a folder, a glob, a file, a list, on any filesystem of pyarrow."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

from app.archive.batch.sources import SourceError, find_videos


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b/c.MKV", "b/d.txt", "b/.e.mp4", "b/f [1].webm"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"123")
    return tmp_path / "tree"


def names(source: object, tree: Path) -> list[str]:
    found = find_videos(str(source)).references["path"].to_pylist()
    assert found == sorted(found)
    return [Path(path).relative_to(tree).as_posix() for path in found]


def test_a_folder_gives_its_videos_with_size_and_time(tree: Path) -> None:
    assert names(tree, tree) == ["a.mp4", "b/c.MKV", "b/f [1].webm"]

    first = find_videos(str(tree)).references.slice(0, 1).to_pylist()[0]

    assert first["size"] == 3
    assert first["modified"].timestamp() == pytest.approx(
        (tree / "a.mp4").stat().st_mtime, abs=1e-5
    )


def test_a_glob_gives_every_file_that_it_matches(tree: Path) -> None:
    assert names(f"{tree}/b/*", tree) == ["b/c.MKV", "b/d.txt", "b/f [1].webm"]
    assert names(f"{tree}/**/*.mp4", tree) == ["a.mp4"]
    assert names(f"file://{tree}/?.mp4", tree) == ["a.mp4"]
    assert names(f"{tree}/*.avi", tree) == []


def test_one_video_and_a_uri_are_sources(tree: Path) -> None:
    assert names(tree / "a.mp4", tree) == ["a.mp4"]
    assert names(f"file://{tree}/b", tree) == ["b/c.MKV", "b/f [1].webm"]


def test_a_list_gives_its_paths_once_without_a_look_at_the_files(tree: Path) -> None:
    paths = ["b/c.MKV", "a.mp4", None, "b/c.MKV", "gone.mp4"]
    pq.write_table(pa.table({"path": paths, "other": range(5)}), tree / "list.parquet")

    assert names(tree / "list.parquet", tree) == ["a.mp4", "b/c.MKV", "gone.mp4"]
    assert find_videos(f"{tree}/list.parquet").references["size"].to_pylist() == [-1] * 3


def test_a_list_of_uris_is_read_from_their_filesystem(tree: Path) -> None:
    uris = [f"file://{tree}/a.mp4", f"file://{tree}/b/c.MKV"]
    pq.write_table(pa.table({"path": uris}), tree / "list.parquet")

    assert names(tree / "list.parquet", tree) == ["a.mp4", "b/c.MKV"]


def test_what_cannot_be_read_is_said(tree: Path) -> None:
    pq.write_table(pa.table({"url": ["a.mp4"]}), tree / "other.parquet")
    mixed = [f"file://{tree}/a.mp4", "s3://bucket/b.mp4"]
    pq.write_table(pa.table({"path": mixed}), tree / "mixed.parquet")
    (tree / "bad.parquet").write_bytes(b"no parquet")

    for source, reason in (
        (tree / "missing", "no such file or folder"),
        (tree / "other.parquet", "no column 'path'"),
        (tree / "mixed.parquet", "s3://bucket/b.mp4 is not on the filesystem"),
        (tree / "bad.parquet", "bad.parquet"),
        ("gopher://somewhere/x", "gopher"),
    ):
        with pytest.raises(SourceError, match=reason) as raised:
            find_videos(str(source))
        assert raised.value.code == "source_not_readable"


def test_a_file_name_that_is_not_utf_8_is_named(tree: Path) -> None:
    (tree / "b" / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"")

    with pytest.raises(
        SourceError, match=r"caf\\xe9\.mp4.* is not UTF-8; rename the file"
    ) as raised:
        find_videos(str(tree))

    assert raised.value.code == "source_not_readable"


def test_a_folder_of_an_object_store_is_listed() -> None:
    # pyarrow's filesystem for tests, which keeps objects in memory
    store, _ = fs.FileSystem.from_uri("mock:///bucket")
    assert store.type_name == "mock"

    assert find_videos("mock:///").references["path"].to_pylist() == []
