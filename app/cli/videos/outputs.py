"""Prints answers about videos, or writes them to files beside the videos."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.tables import stdout_console
from app.cli.videos.inputs import Video

Format = Literal["table", "json", "csv", "srt", "vtt"]
# What the service is asked for; the table and CSV are made of its JSON.
ACCEPT: Mapping[Format, str] = {"srt": "application/x-subrip", "vtt": "text/vtt"}
_COLUMNS = ("video", "start", "end", "label", "score")
# A spreadsheet takes a text that starts with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where answers go: to stdout, or with `sidecar` to a file beside each video."""

    kind: Format
    sidecar: bool
    console: Console = field(default_factory=stdout_console)
    messages: Console = field(default_factory=lambda: Console(stderr=True))

    @property
    def accept(self) -> str:
        """Media type to ask the service for."""
        return ACCEPT.get(self.kind, "application/json")

    def check(self, videos: Sequence[Video], *, watching: bool) -> None:
        """Raise typer.BadParameter where the answers about these videos would get mixed up."""
        if not self.sidecar:
            if self.kind in ACCEPT and (watching or len(videos) > 1):
                raise typer.BadParameter(
                    f"--format {self.kind} prints one video; --sidecar writes a file for each"
                )
            return
        if self.kind == "table":
            raise typer.BadParameter("--sidecar needs --format json, csv, srt or vtt")
        if any(video.path is None for video in videos):
            raise typer.BadParameter("--sidecar has no place for standard input")
        counts = Counter(self.path_for(video.path) for video in videos if video.path)
        shared = next((path for path, count in counts.items() if count > 1), None)
        if shared is not None:
            raise typer.BadParameter(f"two of the videos would get the sidecar {shared}")

    def path_for(self, video: Path) -> Path:
        """Return the path of a video's sidecar: `film.tags.vtt` for `film.mp4`.

        Players and media servers load such a file with the video, and no subtitles that are there
        already have this name.
        """
        return video.with_suffix(f".tags.{self.kind}")

    def start(self) -> None:
        """Print what comes before the first answer."""
        if self.kind == "csv" and not self.sidecar:
            self.console.out(_csv_line(_COLUMNS), end="", highlight=False)

    def put(self, video: Video, text: str) -> None:
        """Print or write an answer, JSON or subtitles. Raises OSError."""
        if self.kind == "table":
            _print_table(self.console, video, json.loads(text))
        elif not self.sidecar:
            self.console.out(self._body(video, text), end="", highlight=False)
        elif video.path is not None:
            written = self.path_for(video.path)
            _replace(written, self._whole(video, text))
            self.messages.print(
                f"wrote {Video(written).name}", style="dim", markup=False, soft_wrap=True
            )

    def put_failure(self, video: Video, code: str, message: str) -> None:
        """Print why a video has no answer: on stderr, and with JSON on stdout as well."""
        if self.kind == "json" and not self.sidecar:
            failure = {"file": video.name, "code": code, "detail": message}
            self.console.out(json.dumps(failure, ensure_ascii=False), highlight=False)
        print_error(self.messages, f"{video.name}: {message}", code)

    def _whole(self, video: Video, text: str) -> str:
        head = _csv_line(_COLUMNS) if self.kind == "csv" else ""
        return head + self._body(video, text)

    def _body(self, video: Video, text: str) -> str:
        if self.kind == "csv":
            return "".join(_csv_line(row) for row in _rows(video, json.loads(text)))
        if self.kind == "json":
            return json.dumps({"file": video.name, **json.loads(text)}, ensure_ascii=False) + "\n"
        return text


def print_error(console: Console, message: str, code: str) -> None:
    """Print a message with the code of its problem."""
    console.print(f"{message} ({code})", style="red", markup=False)


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells
    )
    return line.getvalue()


def _rows(video: Video, answer: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    """The spans of an answer; without windows, the whole video is the span of every tag."""
    whole = {"start": 0.0, "end": answer["video"]["duration"], "tags": answer["tags"]}
    name = "standard input" if video.path is None else video.name
    for span in [whole] if answer["windows"] is None else answer["segments"]:
        times = f"{span['start']:.3f}", f"{span['end']:.3f}"
        for tag in span["tags"]:
            yield name, *times, tag["label"], f"{tag['score']:.4f}"


def _print_table(console: Console, video: Video, answer: Mapping[str, Any]) -> None:
    title = Path(video.name).name
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("score", justify="right")
    table.add_column("likelihood")
    table.add_column("label", overflow="fold")
    table.add_column("when")
    for tag in answer["tags"]:
        times = [
            f"{segment['start']:.1f}-{segment['end']:.1f} s"
            for segment in answer["segments"]
            for found in segment["tags"]
            if found["label"] == tag["label"]
        ]
        table.add_row(
            f"{tag['score']:.2f}", tag["likelihood"], escape(tag["label"]), ", ".join(times)
        )
    console.print(table)
    if answer["unknown"]["is_unknown"]:
        console.print("Probably none of these.", style="yellow")
    for warning in answer["video"]["warnings"]:
        console.print(f"note: {warning}", style="dim", markup=False)
