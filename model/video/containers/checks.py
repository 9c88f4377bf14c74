"""Recognise the container and check it with the walker of its kind."""

from typing import BinaryIO

from model.video.containers.comments import check_asf, check_ogg
from model.video.containers.flv import check_flv
from model.video.containers.matroska import check_matroska
from model.video.containers.mp4 import check_mp4
from model.video.containers.riff import check_avi
from model.video.containers.source import FileSource
from model.video.containers.transport import check_transport_stream

_ASF = b"0&\xb2u\x8ef\xcf\x11"
_MATROSKA = b"\x1aE\xdf\xa3"


def check_container(file: BinaryIO) -> None:
    """Raise ExpensiveVideo if the container describes more than an ordinary file would.

    Containers without tables of their own (MPEG-PS) and unknown ones pass. So does damage.
    """
    source = FileSource(file)
    head = source.read(0, 12)
    if head.startswith(_MATROSKA):
        check_matroska(source)
    elif head[:4] == b"RIFF":
        check_avi(source)
    elif head.startswith(b"FLV"):
        check_flv(source)
    elif head.startswith(b"OggS"):
        check_ogg(source)
    elif head.startswith(_ASF):
        check_asf(source)
    elif not check_transport_stream(source):
        check_mp4(source)
