"""How a request can fail: the service's errors, and one table from code to status and title.

The errors of the library and of every part of the service carry a stable `code`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from model import KinolexError


@dataclass(frozen=True, slots=True)
class Kind:
    """What a code means over HTTP."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed_request": Kind(400, "The request cannot be read"),
    "missing_file": Kind(400, "The request carries no video"),
    "host_not_allowed": Kind(403, "This service does not answer under that host name"),
    "origin_not_allowed": Kind(403, "Web pages of that origin may not use this service"),
    "not_found": Kind(404, "There is nothing at this address"),
    "label_not_found": Kind(404, "There is no such label"),
    "label_set_not_found": Kind(404, "There is no such label set"),
    "example_not_found": Kind(404, "The label has no such example"),
    "method_not_allowed": Kind(405, "This address does not take that method"),
    "upload_timeout": Kind(408, "The request's body did not arrive in time"),
    "label_set_protected": Kind(409, "This label set cannot be deleted"),
    "revision_not_reached": Kind(409, "The label set is not at that revision yet"),
    "revision_mismatch": Kind(412, "The label set is at another revision"),
    "upload_too_large": Kind(413, "The request's body is over the limit"),
    "unsupported_media_type": Kind(415, "The request's Content-Type is not taken here"),
    "not_a_video": Kind(415, "The file is not a video in an allowed format"),
    "still_picture": Kind(415, "The file is a picture, not a video"),
    "unsupported_codec": Kind(415, "The video's codec is not allowed"),
    "invalid_parameter": Kind(422, "A parameter is not valid"),
    "invalid_label": Kind(422, "A label is not valid"),
    "too_many_examples": Kind(422, "The label would have too many examples"),
    "label_set_full": Kind(422, "The label set would hold too many labels"),
    "empty_file": Kind(422, "The file is empty"),
    "no_video_stream": Kind(422, "The file holds no video stream"),
    "no_frames": Kind(422, "Not a single frame could be decoded"),
    "corrupt": Kind(422, "The video is damaged beyond use"),
    "encrypted": Kind(422, "The video is encrypted"),
    "too_long": Kind(422, "The video is too long"),
    "too_large_picture": Kind(422, "The video's frames have too many pixels"),
    "video_error": Kind(422, "The video cannot be tagged"),
    "precondition_required": Kind(428, "The request needs a condition"),
    "internal_error": Kind(500, "The service failed"),
    "not_ready": Kind(503, "The service is starting"),
    "overloaded": Kind(503, "The service is busy"),
    "deadline_exceeded": Kind(503, "The deadline passed before the answer was found"),
    "labels_not_ready": Kind(503, "The labels are still being embedded"),
    "store_unavailable": Kind(503, "The label store does not answer"),
    "storage_full": Kind(507, "There is no room to receive the video"),
}


class ServiceError(KinolexError):
    """The service cannot or will not answer; `retry_after_seconds` says when it might."""

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class MalformedRequest(ServiceError):
    """The bytes are not what the Content-Type promises."""

    code = "malformed_request"


class MissingFile(ServiceError):
    """A multipart body without a part named `file`."""

    code = "missing_file"


class EmptyFile(ServiceError):
    """The video has no bytes."""

    code = "empty_file"


class UploadTooLarge(ServiceError):
    """The body has more bytes than the limit."""

    code = "upload_too_large"

    @classmethod
    def over(cls, max_bytes: int) -> Self:
        """The error for a limit of `max_bytes`."""
        return cls(f"the body is over the limit of {max_bytes} bytes")


class UploadTimeout(ServiceError):
    """The body came too slowly."""

    code = "upload_timeout"


class UnsupportedMediaType(ServiceError):
    """A Content-Type that this address does not take."""

    code = "unsupported_media_type"


class HostNotAllowed(ServiceError):
    """A Host header that names somebody else's machine."""

    code = "host_not_allowed"


class OriginNotAllowed(ServiceError):
    """A web page of a foreign origin tries to write."""

    code = "origin_not_allowed"


class NotReady(ServiceError):
    """The first warm inference has not been run yet."""

    code = "not_ready"


class Overloaded(ServiceError):
    """The queue is full."""

    code = "overloaded"


class DeadlineExceeded(ServiceError):
    """No answer within the request's deadline."""

    code = "deadline_exceeded"


class TracingNotInstalled(ServiceError):
    """An endpoint for traces, but no OpenTelemetry; told when the service starts."""

    code = "tracing_not_installed"


class StorageFull(ServiceError):
    """No room for the upload."""

    code = "storage_full"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input: where (`part` of the request, JSON pointer) and what."""

    part: str
    pointer: str
    detail: str


class InvalidParameter(ServiceError):
    """Well-formed input with values that are not allowed."""

    code = "invalid_parameter"

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)

    @classmethod
    def at(cls, part: str, name: str, detail: str) -> Self:
        """One fault in one parameter."""
        return cls.of([{"loc": (part, name), "msg": detail}])

    @classmethod
    def of(cls, findings: Sequence[Mapping[str, Any]]) -> Self:
        """Pydantic's findings; each `loc` begins with the part of the request, as FastAPI's do."""
        faults = [
            Fault(str(part), _pointer(path), str(found["msg"]))
            for found in findings
            for part, *path in [found["loc"]]
        ]
        return cls("; ".join(f"{f.pointer}: {f.detail}" for f in faults[:3]), faults)


class InvalidLabel(InvalidParameter):
    """Labels with texts that cannot be embedded."""

    code = "invalid_label"


def _pointer(path: Sequence[str | int]) -> str:
    """JSON pointer (RFC 6901) as a URI fragment without percent-encoding."""
    return "#" + "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
