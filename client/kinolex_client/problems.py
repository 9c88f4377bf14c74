# Written by client/make_problems.py from the codes of the service.
"""One error for each code of a problem."""

from collections.abc import Mapping
from typing import Any

from kinolex_client.errors import Problem


class MalformedRequest(Problem):
    """The request cannot be read."""

    known_code = "malformed_request"


class MissingFile(Problem):
    """The request has no video."""

    known_code = "missing_file"


class KeyRequired(Problem):
    """The request needs an API key."""

    known_code = "key_required"


class KeyNotValid(Problem):
    """The API key is not valid."""

    known_code = "key_not_valid"


class ScopeMissing(Problem):
    """The API key lacks a scope."""

    known_code = "scope_missing"


class LabelSetNotAllowed(Problem):
    """The API key does not cover the label set."""

    known_code = "label_set_not_allowed"


class RightsExceeded(Problem):
    """The rights exceed those of the API key."""

    known_code = "rights_exceeded"


class HostNotAllowed(Problem):
    """The host name is not allowed."""

    known_code = "host_not_allowed"


class OriginNotAllowed(Problem):
    """The origin of the web page is not allowed."""

    known_code = "origin_not_allowed"


class NotFound(Problem):
    """The address does not exist."""

    known_code = "not_found"


class LabelNotFound(Problem):
    """The label does not exist."""

    known_code = "label_not_found"


class LabelSetNotFound(Problem):
    """The label set does not exist."""

    known_code = "label_set_not_found"


class ExampleNotFound(Problem):
    """The label does not have this example."""

    known_code = "example_not_found"


class KeyNotFound(Problem):
    """The API key does not exist."""

    known_code = "key_not_found"


class AlertNotFound(Problem):
    """The alert does not exist."""

    known_code = "alert_not_found"


class JobNotFound(Problem):
    """The job does not exist."""

    known_code = "job_not_found"


class VideoNotFound(Problem):
    """No analysis of the video is kept."""

    known_code = "video_not_found"


class MethodNotAllowed(Problem):
    """The address does not allow the method."""

    known_code = "method_not_allowed"


class HeadTimeout(Problem):
    """The request's headers did not arrive in time."""

    known_code = "head_timeout"


class UploadTimeout(Problem):
    """The request body did not arrive in time."""

    known_code = "upload_timeout"


class LabelSetDeleted(Problem):
    """The label set was deleted during the write."""

    known_code = "label_set_deleted"


class LabelSetProtected(Problem):
    """The label set cannot be deleted."""

    known_code = "label_set_protected"


class IdempotencyKeyInUse(Problem):
    """A request with the key is being received."""

    known_code = "idempotency_key_in_use"


class AnalysisOutdated(Problem):
    """The video is kept as another checkpoint saw it."""

    known_code = "analysis_outdated"


class AnalysisDiffers(Problem):
    """The kept analysis allows no such windows or decode mode."""

    known_code = "analysis_differs"


class RevisionNotReached(Problem):
    """The label set has not reached the revision."""

    known_code = "revision_not_reached"


class RevisionMismatch(Problem):
    """The label set is at another revision."""

    known_code = "revision_mismatch"


class UploadTooLarge(Problem):
    """The request body is over the size limit."""

    known_code = "upload_too_large"


class UnsupportedMediaType(Problem):
    """The Content-Type is not supported."""

    known_code = "unsupported_media_type"


class NotAVideo(Problem):
    """The file is not a video in an allowed format."""

    known_code = "not_a_video"


class StillPicture(Problem):
    """The file is a still picture."""

    known_code = "still_picture"


class UnsupportedCodec(Problem):
    """The video codec is not allowed."""

    known_code = "unsupported_codec"


class InvalidParameter(Problem):
    """A parameter is not valid."""

    known_code = "invalid_parameter"


class TooManyAlerts(Problem):
    """There would be too many alerts."""

    known_code = "too_many_alerts"


class IdempotencyKeyReused(Problem):
    """The key belongs to another request."""

    known_code = "idempotency_key_reused"


class InvalidLabel(Problem):
    """A label is not valid."""

    known_code = "invalid_label"


class TooManyExamples(Problem):
    """The label would have too many examples."""

    known_code = "too_many_examples"


class LabelSetFull(Problem):
    """The label set would have too many labels."""

    known_code = "label_set_full"


class EmptyFile(Problem):
    """The file is empty."""

    known_code = "empty_file"


class NoVideoStream(Problem):
    """The file has no video stream."""

    known_code = "no_video_stream"


class NoFrames(Problem):
    """No frame could be decoded."""

    known_code = "no_frames"


class Corrupt(Problem):
    """The video is damaged."""

    known_code = "corrupt"


class Encrypted(Problem):
    """The video is encrypted."""

    known_code = "encrypted"


class TooLong(Problem):
    """The video is too long."""

    known_code = "too_long"


class TooExpensive(Problem):
    """The video costs too much for its size."""

    known_code = "too_expensive"


class TooLargePicture(Problem):
    """The video's frames have too many pixels."""

    known_code = "too_large_picture"


class VideoError(Problem):
    """The video cannot be tagged."""

    known_code = "video_error"


class PreconditionRequired(Problem):
    """The request needs If-Match or If-None-Match."""

    known_code = "precondition_required"


class QuotaExceeded(Problem):
    """A quota of the API key is used up."""

    known_code = "quota_exceeded"


class HeadTooLarge(Problem):
    """The request's address and headers are too large."""

    known_code = "head_too_large"


class InternalError(Problem):
    """The service failed."""

    known_code = "internal_error"


class NotReady(Problem):
    """The service is starting."""

    known_code = "not_ready"


class ShuttingDown(Problem):
    """The service is shutting down."""

    known_code = "shutting_down"


class Overloaded(Problem):
    """The service is busy."""

    known_code = "overloaded"


class DeadlineExceeded(Problem):
    """The request timed out."""

    known_code = "deadline_exceeded"


class LabelsNotReady(Problem):
    """The labels are being embedded."""

    known_code = "labels_not_ready"


class StoreUnavailable(Problem):
    """The label database is not available."""

    known_code = "store_unavailable"


class StoreMoved(Problem):
    """The label database's file is gone."""

    known_code = "store_moved"


class StoreReadOnly(Problem):
    """The label database is read-only."""

    known_code = "store_read_only"


class DecodingUnavailable(Problem):
    """No video can be decoded."""

    known_code = "decoding_unavailable"


class ResourcesExhausted(Problem):
    """The service has no memory or file descriptors left."""

    known_code = "resources_exhausted"


class StorageUnavailable(Problem):
    """The folder for uploads cannot be used."""

    known_code = "storage_unavailable"


class StoreFull(Problem):
    """No disk space is left for the label database."""

    known_code = "store_full"


class StorageFull(Problem):
    """No disk space is left for the upload."""

    known_code = "storage_full"


_BY_CODE: dict[str, type[Problem]] = {each.known_code: each for each in Problem.__subclasses__()}


def problem_of(document: Mapping[str, Any], retry_after: float | None = None) -> Problem:
    """Return the error for a problem document. Raises KeyError for JSON that is not one."""
    return _BY_CODE.get(document["code"], Problem)(document, retry_after)
