"""Errors of the service, and the HTTP status and title of every error code.

Every error of the library and of the service has a stable `code`; KINDS has those that a response
can have. Rooms also define errors of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from model import KinolexError


@dataclass(frozen=True, slots=True)
class Kind:
    """HTTP status and title of an error code."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "malformed_request": Kind(400, "The request cannot be read"),
    "missing_file": Kind(400, "The request has no video"),
    "key_required": Kind(401, "The request needs an API key"),
    "key_not_valid": Kind(401, "The API key is not valid"),
    "scope_missing": Kind(403, "The API key lacks a scope"),
    "label_set_not_allowed": Kind(403, "The API key does not cover the label set"),
    "rights_exceeded": Kind(403, "The rights exceed those of the API key"),
    "host_not_allowed": Kind(403, "The host name is not allowed"),
    "origin_not_allowed": Kind(403, "The origin of the web page is not allowed"),
    "not_found": Kind(404, "The address does not exist"),
    "label_not_found": Kind(404, "The label does not exist"),
    "label_set_not_found": Kind(404, "The label set does not exist"),
    "example_not_found": Kind(404, "The label does not have this example"),
    "key_not_found": Kind(404, "The API key does not exist"),
    "alert_not_found": Kind(404, "The alert does not exist"),
    "job_not_found": Kind(404, "The job does not exist"),
    "video_not_found": Kind(404, "No analysis of the video is kept"),
    "method_not_allowed": Kind(405, "The address does not allow the method"),
    "head_timeout": Kind(408, "The request's headers did not arrive in time"),
    "upload_timeout": Kind(408, "The request body did not arrive in time"),
    "label_set_deleted": Kind(409, "The label set was deleted during the write"),
    "label_set_protected": Kind(409, "The label set cannot be deleted"),
    "idempotency_key_in_use": Kind(409, "A request with the key is being received"),
    "analysis_outdated": Kind(409, "The video is kept as another checkpoint saw it"),
    "analysis_differs": Kind(409, "The kept analysis allows no such windows or decode mode"),
    "revision_not_reached": Kind(409, "The label set has not reached the revision"),
    "revision_mismatch": Kind(412, "The label set is at another revision"),
    "upload_too_large": Kind(413, "The request body is over the size limit"),
    "unsupported_media_type": Kind(415, "The Content-Type is not supported"),
    "not_a_video": Kind(415, "The file is not a video in an allowed format"),
    "still_picture": Kind(415, "The file is a still picture"),
    "unsupported_codec": Kind(415, "The video codec is not allowed"),
    "invalid_parameter": Kind(422, "A parameter is not valid"),
    "too_many_alerts": Kind(422, "There would be too many alerts"),
    "idempotency_key_reused": Kind(422, "The key belongs to another request"),
    "invalid_label": Kind(422, "A label is not valid"),
    "too_many_examples": Kind(422, "The label would have too many examples"),
    "label_set_full": Kind(422, "The label set would have too many labels"),
    "empty_file": Kind(422, "The file is empty"),
    "no_video_stream": Kind(422, "The file has no video stream"),
    "no_frames": Kind(422, "No frame could be decoded"),
    "corrupt": Kind(422, "The video is damaged"),
    "encrypted": Kind(422, "The video is encrypted"),
    "too_long": Kind(422, "The video is too long"),
    "too_expensive": Kind(422, "The video costs too much for its size"),
    "too_large_picture": Kind(422, "The video's frames have too many pixels"),
    "video_error": Kind(422, "The video cannot be tagged"),
    "precondition_required": Kind(428, "The request needs If-Match or If-None-Match"),
    "quota_exceeded": Kind(429, "A quota of the API key is used up"),
    "head_too_large": Kind(431, "The request's address and headers are too large"),
    "internal_error": Kind(500, "The service failed"),
    "not_ready": Kind(503, "The service is starting"),
    "shutting_down": Kind(503, "The service is shutting down"),
    "overloaded": Kind(503, "The service is busy"),
    "deadline_exceeded": Kind(503, "The request timed out"),
    "labels_not_ready": Kind(503, "The labels are being embedded"),
    "store_unavailable": Kind(503, "The label database is not available"),
    "store_moved": Kind(503, "The label database's file is gone"),
    "store_read_only": Kind(503, "The label database is read-only"),
    "decoding_unavailable": Kind(503, "No video can be decoded"),
    "resources_exhausted": Kind(503, "The service has no memory or file descriptors left"),
    "storage_unavailable": Kind(503, "The folder for uploads cannot be used"),
    "store_full": Kind(507, "No disk space is left for the label database"),
    "storage_full": Kind(507, "No disk space is left for the upload"),
}


class ServiceError(KinolexError):
    """Base of the service's errors; `retry_after_seconds` becomes the header Retry-After."""

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class MalformedRequest(ServiceError):
    """The body does not match its Content-Type, or a header cannot be parsed."""

    code = "malformed_request"


class MissingFile(ServiceError):
    """The form has no part named `file`."""

    code = "missing_file"


class EmptyFile(ServiceError):
    """The file has no bytes."""

    code = "empty_file"


class UploadTooLarge(ServiceError):
    """The body has more bytes than the limit."""

    code = "upload_too_large"

    @classmethod
    def over(cls, max_bytes: int) -> Self:
        """Return the error for a limit of `max_bytes`."""
        mib = max_bytes / 1024**2
        words = f"{mib:,.0f} MiB" if mib >= 10 else f"{max_bytes} bytes"
        return cls(f"the body is over the limit of {words}")


class UploadTimeout(ServiceError):
    """The body did not arrive in time."""

    code = "upload_timeout"


class UnsupportedMediaType(ServiceError):
    """The address does not support the Content-Type."""

    code = "unsupported_media_type"


class HostNotAllowed(ServiceError):
    """The Host header has a name that is not allowed."""

    code = "host_not_allowed"


class OriginNotAllowed(ServiceError):
    """A web page of an origin that is not allowed sends a write."""

    code = "origin_not_allowed"


class NotReady(ServiceError):
    """The first inference is not done yet."""

    code = "not_ready"


class Overloaded(ServiceError):
    """The queue is full, or the wait would exceed the deadline."""

    code = "overloaded"


class DeadlineExceeded(ServiceError):
    """The deadline passed before the answer was ready."""

    code = "deadline_exceeded"


class TracingNotInstalled(ServiceError):
    """KINOLEX_OTLP_ENDPOINT is set, but OpenTelemetry is not installed; raised at start."""

    code = "tracing_not_installed"


class StorageFull(ServiceError):
    """No disk space is left for the upload."""

    code = "storage_full"


class StorageUnavailable(ServiceError):
    """The folder for uploads is missing or cannot be written."""

    code = "storage_unavailable"


class ResourcesExhausted(ServiceError):
    """The operating system gives this process no more memory, descriptors or processes."""

    code = "resources_exhausted"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the input: the `part` of the request, a JSON pointer into it, and a message."""

    part: str
    pointer: str
    detail: str


class InvalidParameter(ServiceError):
    """A parameter or field has a value that is not allowed."""

    code = "invalid_parameter"

    def __init__(self, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.faults = tuple(faults)

    @classmethod
    def at(cls, part: str, name: str, detail: str) -> Self:
        """Return the error for a single fault, in the parameter `name`."""
        return cls.of([{"loc": (part, name), "msg": detail}])

    @classmethod
    def of(cls, findings: Sequence[Mapping[str, Any]]) -> Self:
        """Return the error for pydantic's findings; each `loc` starts with the request's part."""
        faults = [
            Fault(str(part), _pointer(path), str(found["msg"]))
            for found in findings
            for part, *path in [found["loc"]]
        ]
        return cls("; ".join(f"{f.pointer}: {f.detail}" for f in faults[:3]), faults)


class InvalidLabel(InvalidParameter):
    """A label has texts that cannot be embedded."""

    code = "invalid_label"


def _pointer(path: Sequence[str | int]) -> str:
    """Return a JSON pointer (RFC 6901) as a URI fragment without percent-encoding."""
    return "#" + "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
