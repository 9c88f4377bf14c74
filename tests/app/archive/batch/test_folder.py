"""The files of an archive: whole or absent, joined without loss, each video once."""

from pathlib import Path

import pyarrow as pa
import pyarrow.fs as fs
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from app.archive.batch.folder import ArchiveFolder, ArchiveNotFound
from app.archive.batch.rows import FILES, row_of_analysis, row_of_error
from tests.support.analyses import analysis_of

OPTIONS = {"model_id": "colours", "video_space": "0"}


@pytest.fixture(params=["local", "store"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveFolder:
    """An empty archive, in a local folder or in an object store."""
    if request.param == "local":
        return ArchiveFolder.create(fs.LocalFileSystem(), str(tmp_path), OPTIONS)
    memory = MemoryFileSystem()
    memory.store.clear()
    store = fs.PyFileSystem(fs.FSSpecHandler(memory))
    return ArchiveFolder.create(store, "/archive", OPTIONS)


def fill(folder: ArchiveFolder, count: int, start: int = 0) -> list[str]:
    analyses = [analysis_of(["red"], name=str(number)) for number in range(start, start + count)]
    for analysis in analyses:
        folder.write_analysis(row_of_analysis(analysis))
    return [analysis.sha256 for analysis in analyses]


def videos(folder: ArchiveFolder) -> list[str]:
    return [name for table in folder.tables(["code"]) for name in table["sha256"].to_pylist()]


def test_joined_videos_are_the_same_rows(folder: ArchiveFolder) -> None:
    names = fill(folder, 5)
    folder.write_analysis(row_of_error("f" * 64, "not_a_video", "no", OPTIONS))
    before = pa.concat_tables(folder.tables()).sort_by("sha256")

    folder.pack(folder.known())

    assert pa.concat_tables(folder.tables()).sort_by("sha256").equals(before)
    known = folder.known()
    assert [known.code_of(name) for name in names] == [""] * 5
    assert known.code_of("f" * 64) == "not_a_video"
    assert known.code_of("0" * 64) is None
    assert folder.code_of(names[0]) is None


def test_a_video_that_is_in_two_files_is_read_once(folder: ArchiveFolder) -> None:
    names = fill(folder, 3)
    known = folder.known()
    folder.pack(known)
    # as after a kill between writing the joined file and deleting the single ones
    fill(folder, 3)
    fill(folder, 1, start=3)

    assert sorted(videos(folder)) == sorted({*names, *fill(folder, 1, start=3)})
    folder.pack(folder.known())
    assert len(videos(folder)) == 4
    assert len(folder.groups()) == 2


def test_rows_about_files_are_joined_and_those_to_try_again_are_dropped(
    folder: ArchiveFolder,
) -> None:
    def rows(*paths: str, again: bool = False) -> pa.Table:
        plain = {"size": 1, "modified": None, "sha256": "a" * 64, "code": "", "detail": ""}
        values = [{"path": path, **plain, "again": again} for path in paths]
        return pa.Table.from_pylist(values, schema=FILES)

    folder.write_files(rows("b", "a"))
    folder.write_files(rows("a"))
    folder.write_files(rows("c", again=True))

    first = folder.read_files()
    folder.write_files(rows("d"))
    second = folder.read_files()

    assert first["path"].to_pylist() == ["a", "b"]
    assert second["path"].to_pylist() == ["a", "b", "d"]
    assert folder.paths_of(["a" * 64]) == {"a" * 64: "a"}


def test_what_a_killed_process_left_unfinished_is_not_read_and_deleted(tmp_path: Path) -> None:
    folder = ArchiveFolder.create(fs.LocalFileSystem(), str(tmp_path), OPTIONS)
    [name] = fill(folder, 1)
    unfinished = Path(folder.analysis_path(name)).with_name(f".{name}.parquet.123")
    unfinished.write_bytes(b"PAR1 half")

    assert videos(folder) == [name]
    folder.pack(folder.known())
    assert not unfinished.exists()


def test_archives_of_two_checkpoints_do_not_mix(tmp_path: Path) -> None:
    local = fs.LocalFileSystem()
    first = ArchiveFolder.create(local, str(tmp_path), OPTIONS)
    second = ArchiveFolder.create(local, str(tmp_path), {**OPTIONS, "video_space": "1"})
    fill(first, 2)

    assert videos(second) == []
    assert ArchiveFolder.find(local, str(tmp_path), "0") == first
    assert ArchiveFolder.find(local, second.path) == second
    with pytest.raises(ArchiveNotFound, match="2 archives; name one"):
        ArchiveFolder.find(local, str(tmp_path))
    with pytest.raises(ArchiveNotFound, match="2 archives, 0 of them of this checkpoint"):
        ArchiveFolder.find(local, str(tmp_path), "2")
    with pytest.raises(ArchiveNotFound, match="makes one"):
        ArchiveFolder.find(local, str(tmp_path / "nowhere"))
