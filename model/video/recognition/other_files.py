"""Name what a file is that is no video, so that its sender sees the mistake."""

import re
import string

# The first bytes of a file -> what it is, and what to do where that is not clear.
_BY_FIRST_BYTES = {
    b"ID3": "an MP3 sound file",
    b"RIFX": "a sound file",
    b"fLaC": "a FLAC sound file",
    b"#!AMR": "an AMR sound file",
    b"MThd": "a MIDI file",
    b"FORM": "an AIFF sound file",
    b"caff": "a CAF sound file",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an office document; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"BZh": "a bzip2 archive; unpack it",
    b"\xfd7zXZ": "an XZ archive; unpack it",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive; unpack it",
    b"\x7fELF": "a program",
    b"MZ": "a Windows program",
    b"SQLite format 3": "an SQLite database",
    b".RMF": "RealMedia; convert it to MP4",
    b"FWS": "Flash; convert it to MP4",
    b"CWS": "Flash; convert it to MP4",
    b"ZWS": "Flash; convert it to MP4",
    b"YUV4MPEG2": "uncompressed video (YUV4MPEG2); encode it, for example as MP4",
    b"nut/multimedia": "NUT; copy the video into MP4 or Matroska",
    b"\x00\x00\x01\xb3": "a raw MPEG-1 or MPEG-2 stream; copy it into MP4 or a program stream",
    b"\x12\x00\x0a": "a raw AV1 stream; copy it into MP4, WebM or IVF",
    b"DVDVIDEO": "the menu of a DVD; send its VOB files",
    b"\x1f\x07\x00": "a raw DV stream; put it into AVI or QuickTime",
    b"#EXTM3U": "a playlist (M3U8); send the video that it names",
    b"ffconcat": "a list of files; send the video itself",
    b"WEBVTT": "subtitles",
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy array",
}
_WAVE = "a WAV sound file"
_PICTURE_SERIES = "a series of JPEGs (raw Motion JPEG); copy it into AVI: ffmpeg -f mjpeg -i FILE"
# Where one JPEG ends and another one begins.
_NEXT_JPEG = b"\xff\xd9\xff\xd8\xff"
# A frame of MPEG audio: 11 set bits, a layer, and for AAC the layer 0.
_MPEG_AUDIO = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]", re.DOTALL)
_AAC = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
_MARKUP = {
    b"<!doctype html": "a web page (HTML): the address did not lead to the video itself",
    b"<html": "a web page (HTML): the address did not lead to the video itself",
    b"<mpd": "a playlist (MPEG-DASH); send the video that it names",
    b"<svg": "a drawing (SVG)",
    b"<?xml": "an XML text",
}
_TEXT = set(string.printable.encode()) | set(range(0x80, 0x100))


def describe(head: bytes) -> str | None:
    """Name the type of a file that starts with these bytes; None for an unknown one.

    A series of JPEGs is known only where the second one begins within these bytes.
    """
    if not head.strip(b"\0"):
        return "only zero bytes: the upload or recording failed"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _WAVE
    if _NEXT_JPEG in head or (head.startswith(b"--") and b"image/jpeg" in head):
        return _PICTURE_SERIES
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it"
    for first, name in _BY_FIRST_BYTES.items():
        if head.startswith(first):
            return name
    if _AAC.match(head):
        return "an AAC sound file"
    if _MPEG_AUDIO.match(head):
        return "an MP3 sound file"
    return _describe_text(head)


def _describe_text(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    start = text.lower()
    for markup, name in _MARKUP.items():
        if markup in start[:256] and start.startswith(b"<"):
            return name
    if text.startswith((b"{", b"[")):
        return "JSON"
    if set(head) <= _TEXT and head.isascii():
        return "a text"
    return None
