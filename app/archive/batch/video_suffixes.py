"""The endings of names by which videos are found in a folder."""

# A file that is named itself, or by a pattern or a list, may have any ending.
VIDEO_SUFFIXES = frozenset({
    "3g2", "3gp", "apng", "avi", "avif", "dv", "flv", "gif", "m2ts",
    "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf", "ogg",
    "ogv", "ts", "vob", "webm", "wmv",
})  # fmt: skip
