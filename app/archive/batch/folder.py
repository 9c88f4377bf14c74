"""The files of an archive: names that follow from contents, written whole or not at all.

    OUT/<digest of checkpoint and options>/options.json
        analyses/ab/abcd....parquet      one video each, by its SHA-256: as an actor writes it
        packs/<digest>.parquet           thousands of videos each: the files above, joined later
        files/<digest>.parquet           which paths had which video

A video's row follows from its bytes, the checkpoint and the options alone. Its file can therefore
be written twice, by two processes, and be there once.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
import pyarrow.parquet as pq

from app.archive.batch.rows import FILES
from model import KinolexError

# Rows that are joined in one file: 100 MB of a usual archive.
_PACKED_ROWS = 4_096
# Rows that can be read alone: few, because a search reads single rows.
_ROW_GROUP = 64
# Files of single videos that are read together.
_GROUP = 256
_OPTIONS = "options.json"


class ArchiveNotFound(KinolexError):
    """The folder holds no archive, or more than one."""

    code = "archive_not_found"


@dataclass(frozen=True, slots=True)
class Known:
    """The videos of all packs: their SHA-256 in hex, sorted (N,) S64, and the codes of errors."""

    sha256s: npt.NDArray[np.bytes_] = field(default_factory=lambda: np.empty(0, "S64"))
    codes: Mapping[str, str] = field(default_factory=dict)

    def code_of(self, sha256: str) -> str | None:
        """Return "" for a video that was analysed, the code of its error, None for another."""
        place = int(np.searchsorted(self.sha256s, sha256.encode()))
        if place == len(self.sha256s) or self.sha256s[place] != sha256.encode():
            return None
        return self.codes.get(sha256, "")


@dataclass(frozen=True, slots=True)
class ArchiveFolder:
    """The archive of one checkpoint and its options, at a `path` of a filesystem."""

    filesystem: fs.FileSystem
    path: str

    @classmethod
    def create(cls, filesystem: fs.FileSystem, out: str, options: Mapping[str, Any]) -> Self:
        """Make the archive of these options under `out`, or open it if it is there."""
        text = json.dumps(options, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        made = cls(filesystem, f"{out.rstrip('/')}/{digest}")
        for name in ("analyses", "packs", "files"):
            filesystem.create_dir(f"{made.path}/{name}")
        made._write(f"{made.path}/{_OPTIONS}", text.encode())
        return made

    @classmethod
    def find(cls, filesystem: fs.FileSystem, out: str, video_space: str | None = None) -> Self:
        """Open the archive in or under `out`, of several that of a checkpoint.

        Raises ArchiveNotFound.
        """
        selector = fs.FileSelector(out, allow_not_found=True)
        paths = [out.rstrip("/"), *(each.path for each in filesystem.get_file_info(selector))]
        files = filesystem.get_file_info([f"{path}/{_OPTIONS}" for path in paths])
        found = [
            cls(filesystem, path)
            for path, file in zip(paths, files, strict=True)
            if file.type is fs.FileType.File
        ]
        wanted = [each for each in found if video_space in (None, each.options()["video_space"])]
        if len(wanted) != 1:
            which = "" if video_space is None else f", {len(wanted)} of them of this checkpoint"
            names = ", ".join(each.path for each in found)
            raise ArchiveNotFound(
                f"{out} holds {len(found)} archives{which}; name one folder of an archive"
                + (f": {names}" if names else "; `kinolex archive tag` makes one")
            )
        return wanted[0]

    def options(self) -> dict[str, Any]:
        """Return the checkpoint and the options that the analyses were made with."""
        with self.filesystem.open_input_file(f"{self.path}/{_OPTIONS}") as file:
            options: dict[str, Any] = json.loads(file.read())
            return options

    def analysis_path(self, sha256: str) -> str:
        """Return the name of the file with one video's row."""
        return f"{self.path}/analyses/{sha256[:2]}/{sha256}.parquet"

    def code_of(self, sha256: str) -> str | None:
        """Return "" if the video's file is there, the code of its error, None if it is not."""
        path = self.analysis_path(sha256)
        [info] = self.filesystem.get_file_info([path])
        if info.type is not fs.FileType.File:
            return None
        code: str = self._read(path, ["code"])["code"][0].as_py()
        return code

    def write_analysis(self, row: pa.Table) -> None:
        """Write the row of one video, whole or not at all."""
        path = self.analysis_path(row["sha256"][0].as_py())
        self.filesystem.create_dir(path.rpartition("/")[0])
        self._write_table(path, row)

    def write_files(self, rows: pa.Table) -> None:
        """Write rows about files, whole or not at all."""
        self._write_table(f"{self.path}/files/{_digest(rows)}.parquet", rows)

    def read_files(self) -> pa.Table:
        """Return what is known of files, without those that are to be tried again.

        Joins the parts into one.
        """
        paths = self._parts("files")
        if not paths:
            return FILES.empty_table()
        rows = pa.concat_tables([self._read(path) for path in paths])
        rows = rows.filter(pc.invert(rows["again"]))
        # equal rows stay where a process was killed between the two steps below
        rows = rows.group_by(FILES.names).aggregate([]).select(FILES.names).sort_by("path")
        kept = f"{self.path}/files/{_digest(rows)}.parquet"
        if paths != [kept]:
            self._write_table(kept, rows)
            self._delete([path for path in paths if path != kept])
        return rows

    def known(self) -> Known:
        """Return the videos of all packs."""
        names: list[npt.NDArray[np.bytes_]] = []
        codes: dict[str, str] = {}
        for path in self._parts("packs"):
            rows = self._read(path, ["sha256", "code"])
            names.append(np.array(rows["sha256"].to_pylist(), "S64"))
            failed = rows.filter(pc.not_equal(rows["code"], ""))
            columns = (failed[name].to_pylist() for name in ("sha256", "code"))
            codes.update(zip(*columns, strict=True))
        return Known(np.sort(np.concatenate(names)), codes) if names else Known()

    def pack(self, known: Known) -> None:
        """Join the files of single videos; `known` are the videos of the packs so far.

        Also deletes unfinished files of processes that were killed.
        """
        files = self._files("analyses")
        paths = [path for path in files if path.endswith(".parquet")]
        self._delete([path for path in files if not path.endswith(".parquet")])
        for start in range(0, len(paths), _PACKED_ROWS):
            some = paths[start : start + _PACKED_ROWS]
            new = [path for path in some if known.code_of(_name_of(path)) is None]
            if new:
                self.write_pack(pa.concat_tables([self._read(path) for path in new]))
            self._delete(some)

    def write_pack(self, rows: pa.Table) -> None:
        """Write the rows of several videos as one file, whole or not at all."""
        names = "".join(rows["sha256"].to_pylist())
        digest = hashlib.sha256(names.encode()).hexdigest()
        self._write_table(f"{self.path}/packs/{digest}.parquet", rows)

    def groups(self) -> list[list[str]]:
        """Return the files with the rows of videos, in groups to read together."""
        singles = self._parts("analyses")
        joined = [singles[at : at + _GROUP] for at in range(0, len(singles), _GROUP)]
        return [[path] for path in self._parts("packs")] + joined

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of all videos, each once, as one table for each group."""
        for rows in self.all_rows(self.groups(), columns):
            yield rows.filter(rows["is_new"]).drop_columns("is_new")

    def all_rows(
        self, groups: Sequence[Sequence[str]], columns: Sequence[str] | None = None
    ) -> Iterator[pa.Table]:
        """Yield the rows of each group, with `is_new`: whether the video was not yielded before.

        A video is in two files after a process was killed while it joined them.
        """
        seen: set[bytes] = set()
        wanted = None if columns is None else ["sha256", *columns]
        for paths in groups:
            rows = pa.concat_tables([self._read(path, wanted) for path in paths])
            yield rows.append_column("is_new", pa.array(_are_new(rows, seen), pa.bool_()))

    def read_rows(self, paths: Sequence[str], places: Sequence[int]) -> pa.Table:
        """Return the rows at these places of a group: only the parts of its file that hold them."""
        if len(paths) > 1:
            return pa.concat_tables([self._read(paths[place]) for place in places])
        with self.filesystem.open_input_file(paths[0]) as file:
            parquet = pq.ParquetFile(file)
            return pa.concat_tables(
                [
                    # a part is small: threads would wait for each other longer than they work
                    parquet.read_row_group(place // _ROW_GROUP, use_threads=False).slice(
                        place % _ROW_GROUP, 1
                    )
                    for place in places
                ]
            )

    def paths_of_videos(self) -> pa.Table:
        """Return `sha256` and `path` of all files that could be read."""
        parts = [self._read(path, ["path", "sha256"]) for path in self._parts("files")]
        if not parts:
            return FILES.empty_table().select(["path", "sha256"])
        rows = pa.concat_tables(parts)
        return rows.filter(pc.not_equal(rows["sha256"], "")).sort_by("path")

    def paths_of(self, sha256s: Collection[str]) -> dict[str, str]:
        """Return a path of each of these videos, by SHA-256; the first one of several."""
        paths = self.paths_of_videos()
        named = paths.filter(pc.is_in(paths["sha256"], pa.array(sha256s, pa.string())))
        return {row["sha256"]: row["path"] for row in reversed(named.to_pylist())}

    def _parts(self, name: str) -> list[str]:
        return [path for path in self._files(name) if path.endswith(".parquet")]

    def _files(self, name: str) -> list[str]:
        selector = fs.FileSelector(f"{self.path}/{name}", recursive=True, allow_not_found=True)
        found = self.filesystem.get_file_info(selector)
        return sorted(each.path for each in found if each.type is fs.FileType.File)

    def _read(self, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        with self.filesystem.open_input_file(path) as file:
            return pq.read_table(file, columns=columns)

    def _write_table(self, path: str, rows: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd", row_group_size=_ROW_GROUP)
        self._write(path, sink.getvalue())

    def _write(self, path: str, content: Any) -> None:
        if isinstance(self.filesystem, fs.LocalFileSystem):
            _write_local(Path(path), content)
            return
        # an object is there when its stream is closed, and then whole
        with self.filesystem.open_output_stream(path) as file:
            file.write(content)

    def _delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self.filesystem.delete_file(path)


def _write_local(path: Path, content: Any) -> None:
    # a name of its own: two threads or processes may write the same file
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _digest(rows: pa.Table) -> str:
    digest = hashlib.sha256()
    for batch in rows.combine_chunks().to_batches():
        digest.update(batch.serialize())
    return digest.hexdigest()


def _are_new(rows: pa.Table, seen: set[bytes]) -> list[bool]:
    """Return for each row whether its video is not in `seen`, and add it."""
    answer = []
    for name in rows["sha256"].to_pylist():
        key = bytes.fromhex(name)
        answer.append(key not in seen)
        seen.add(key)
    return answer


def _name_of(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")
