"""How much a container may describe, and why. Ordinary files stay far below every limit.

The reasons name what FFmpeg 8.1 does with each item; the figures of processor time are those of
docs/decisions/0032-what-a-file-may-cost-follows-from-its-size.md.
"""

from model.errors import ExpensiveVideo

# Each is compared with all others (CVE-2026-107678): 2,000 take 2 s, 8,000 a minute. A protected
# video has one for each DRM system.
MAX_KEY_SYSTEMS = 64
# FFmpeg decodes the first frame of each video track, and keeps a decoder for each.
MAX_TRACKS = 128
MAX_VIDEO_TRACKS = 8
MAX_ATTACHMENTS = 256
# Tags are kept in a list that is searched for each new one: 20,000 take 8 s.
MAX_TAGS = 2_000
# Chapters too, where their numbers do not increase.
MAX_CHAPTERS = 5_000
MAX_SAMPLE_DESCRIPTIONS = 1_024
# An entry of the index takes 24 bytes and more, also for samples that the file does not list one by
# one. Four hours at 60 frames/s have 864,000; a list of more has at least four bytes for each.
MAX_UNLISTED_SAMPLES = 1_000_000
MAX_SAMPLES_PER_BYTE = 0.25
MAX_EDITS = 10_000
# Each is put between others that are later already: 20,000 in reverse take 0.5 s.
MAX_UNSORTED_CUES = 5_000
# Indexes of an AVI file; it has one for each gigabyte.
MAX_INDEXES = 4_096
# Each edit copies the entries that it covers: 95,000 of them take 1 s, 1,000,000 take 7 s. Ordinary
# edits cover every sample once.
MAX_EDITED_SAMPLES = 30_000
MAX_EDITS_PER_SAMPLE = 4
# Each fragment, and each entry of an index of fragments, is searched among all others. Four hours
# in pieces of half a second have 28,800.
MAX_FRAGMENTS = 50_000
# Boxes of a header: 128 tracks of 40, and the tags.
MAX_HEADER_BOXES = 10_000
# Parts of one list: top-level boxes of an MP4, elements of Matroska, chunks of an AVI. FFmpeg reads
# all of them, so that a walker which stopped early would miss what follows. Ordinary pieces have
# 512 bytes and more.
_MAX_PARTS = 20_000
_BYTES_PER_PART = 512
# Entries of an index have 12 bytes and more; a walker needs 0.3 s for as many.
MAX_ELEMENTS = 100_000
# A compressed header may be this large; 4 MB describe 500,000 samples.
MAX_INFLATED_HEADER = 4_000_000
# Distinct tables of a transport stream; it repeats the same few all the time.
MAX_STREAM_TABLES = 1_000
MAX_PROGRAMS = 256
MAX_STREAMS = 256


def max_parts(size_bytes: int) -> int:
    """Return how many parts one list of a file of this size may have."""
    return _MAX_PARTS + size_bytes // _BYTES_PER_PART


def refuse_over(limit: float, found: float, what: str) -> None:
    """Raise ExpensiveVideo if there are more than `limit` of `what`."""
    if found > limit:
        raise ExpensiveVideo(
            f"the container describes {found:.0f} {what}, the limit is {limit:.0f}; write the file "
            "again with a usual program"
        )
