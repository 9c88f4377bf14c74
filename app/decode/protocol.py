"""What a decode process says of a video, checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from model import CorruptVideo, VideoError
from model.video.reader import VideoInfo


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker said, checked: it may be in the hands of the video's author."""

    worn_out: bool
    error: VideoError | None = None
    info: VideoInfo | None = None
    size: tuple[int, int] = (0, 0)
    warnings: tuple[str, ...] = ()
    stream: int | None = None
    start_seconds: float = 0.0

    @classmethod
    def parse(cls, message: bytes) -> Self:
        """Raises CorruptVideo where the message makes no sense."""
        try:
            fields = json.loads(message)
            # half of a surrogate pair is no text that could be sent on
            json.dumps(fields, ensure_ascii=False).encode()
            if "code" in fields:
                known = {kind.code: kind for kind in VideoError.__subclasses__()}
                error = known[fields["code"]](str(fields["message"]))
                return cls(bool(fields["worn_out"]), error)
            return cls(
                worn_out=bool(fields["worn_out"]),
                info=_facts(fields["info"]) if "info" in fields else None,
                size=(int(fields["height"]), int(fields["width"])),
                warnings=tuple(map(str, fields["warnings"])),
                stream=int(fields["stream"]) if "stream" in fields else None,
                start_seconds=float(fields.get("start_seconds", 0.0)),
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise CorruptVideo("the decoder died on this video") from error

    @property
    def facts(self) -> VideoInfo:
        if self.info is None:
            raise CorruptVideo("the decoder died on this video")
        return self.info


def _facts(told: Mapping[str, Any]) -> VideoInfo:
    info = VideoInfo(
        duration_seconds=float(told["duration_seconds"]),
        frames_per_second=float(told["frames_per_second"]),
        width=int(told["width"]),
        height=int(told["height"]),
        rotation=int(told["rotation"]),
        codec=str(told["codec"]),
        warnings=tuple(map(str, told["warnings"])),
    )
    if not (0 < info.duration_seconds < 1e9 and 0 < info.frames_per_second < 1e9):
        raise ValueError("these are not the facts of a video")
    return info
