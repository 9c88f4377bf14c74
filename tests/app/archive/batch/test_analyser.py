"""What an actor writes: each video once, by its bytes; errors as rows; nothing analysed twice."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.fs as fs
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from app.archive.batch.rows import analyses_in
from app.archive.batch.sources import REFERENCES, Source, find_videos
from benchmarks.archive.tag_colours import folder_of
from model import WindowPlan
from tests.support.archives import analysed, analyser, write_videos
from tests.support.fakes import colour_tagger


def rows_of(out: Path) -> list[dict[str, Any]]:
    tables = list(folder_of(str(out)).tables())
    rows: list[dict[str, Any]] = pa.concat_tables(tables).sort_by("sha256").to_pylist()
    return rows


def files_of(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of files that are done, by the name of the file."""
    rows = folder_of(str(out)).read_files().to_pylist()
    return {row["path"].rpartition("/")[2]: row for row in rows}


def test_an_analysis_has_the_embeddings_of_the_library(tmp_path: Path) -> None:
    videos = write_videos(tmp_path / "videos", one=["red"] * 3 + ["blue"] * 3)

    folder = analysed(videos, tmp_path / "out")

    [analysis] = [each for table in folder.tables() for each in analyses_in(table)]
    with (videos / "one.mp4").open("rb") as file:
        info, whole = colour_tagger().embed(file)
    assert analysis.video == info
    np.testing.assert_array_equal(analysis.whole.embedding, whole.astype(np.float16))
    assert analysis.windows.plan == WindowPlan.over(
        info.duration_seconds, window_seconds=4.0, stride_seconds=2.0, max_windows=1024
    )
    assert len(analysis.windows.embeddings) == analysis.windows.plan.count > 1


def test_what_is_no_video_becomes_a_row_with_its_code(tmp_path: Path) -> None:
    videos = write_videos(tmp_path / "videos", good=["red"])
    (videos / "text.mp4").write_bytes(b"no video")
    (videos / "empty.mp4").write_bytes(b"")

    analysed(videos, tmp_path / "out")

    codes = sorted(row["code"] for row in rows_of(tmp_path / "out"))
    assert codes == ["", "empty_file", "not_a_video"]
    files = files_of(tmp_path / "out")
    assert {name: row["code"] for name, row in files.items()} == {
        "good.mp4": "",
        "text.mp4": "not_a_video",
        "empty.mp4": "empty_file",
    }
    assert files["text.mp4"]["detail"]


def test_a_file_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    folder = folder_of(str(tmp_path / "out"))
    references = pa.table([["/nowhere/x.mp4"], [-1], [0]], schema=REFERENCES)

    with analyser(fs.LocalFileSystem(), folder) as analyse:
        rows = analyse(references)
    folder.write_files(rows)

    [row] = rows.to_pylist()
    assert (row["code"], row["sha256"], row["again"]) == ("file_unreadable", "", True)
    assert len(folder.read_files()) == 0
    assert list(folder.tables()) == []


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_same_bytes_are_analysed_once(tmp_path: Path, is_packed: bool) -> None:
    videos = write_videos(tmp_path / "videos", one=["red"])
    (videos / "bad.mp4").write_bytes(b"no video")
    folder = analysed(videos, tmp_path / "out")
    if is_packed:
        folder.pack(folder.known())
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    for name in ("one", "bad"):
        (videos / f"{name}2.mp4").write_bytes((videos / f"{name}.mp4").read_bytes())

    analysed(videos, tmp_path / "out", known=folder.known())

    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    assert before.items() <= after.items()
    assert {path.parent.name for path in after.keys() - before.keys()} == {"files"}
    files = files_of(tmp_path / "out")
    assert files["one2.mp4"]["sha256"] == files["one.mp4"]["sha256"]
    assert files["bad2.mp4"]["code"] == "not_a_video"


def test_videos_of_an_object_store_are_copied_and_analysed(tmp_path: Path) -> None:
    videos = write_videos(tmp_path / "videos", one=["red"], two=["green", "blue"])
    memory = MemoryFileSystem()
    for path in videos.iterdir():
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    store = fs.PyFileSystem(fs.FSSpecHandler(memory))
    paths = ["/bucket/one.mp4", "/bucket/two.mp4"]
    source = Source(store, pa.table([paths, [-1, -1], [0, 0]], schema=REFERENCES))

    analysed(videos, tmp_path / "local")
    analysed(source, tmp_path / "remote")

    assert rows_of(tmp_path / "remote") == rows_of(tmp_path / "local")
    assert len(find_videos(str(videos)).references) == 2


def test_a_decoder_that_is_killed_from_outside_makes_no_video_an_error(tmp_path: Path) -> None:
    videos = write_videos(tmp_path / "videos", one=["red"])
    folder = folder_of(str(tmp_path / "out"))
    references = find_videos(str(videos)).references

    with analyser(fs.LocalFileSystem(), folder) as analyse, ThreadPoolExecutor() as threads:
        decoders = [each for each in psutil.Process().children() if is_decoder(each)]
        for decoder in decoders:
            decoder.suspend()  # so that the job is still there when the process is killed
        rows = threads.submit(analyse, references)
        while not is_open(videos / "one.mp4"):
            time.sleep(0.01)
        time.sleep(0.2)  # for the job to reach the decoder; without it, another decoder gets it
        for decoder in decoders:
            decoder.kill()
        [row] = rows.result().to_pylist()

    assert (row["code"], row["again"]) == ("", False)
    assert [each["code"] for each in rows_of(tmp_path / "out")] == [""]


def is_decoder(process: psutil.Process) -> bool:
    return "app.decode.worker" in process.cmdline()


def is_open(path: Path) -> bool:
    return any(Path(file.path) == path for file in psutil.Process().open_files())
