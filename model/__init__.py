"""Kinolex, the library: a video and words in, tags out.

Names are resolved on first use (PEP 562), so that `import model.video` in a decode process loads
neither torch nor FAISS.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.calibration import Calibration, CalibrationConfig
    from model.checkpoint import load_checkpoint, save_checkpoint
    from model.encoder import (
        Encoder,
        EncoderConfig,
        Runtime,
        RuntimeName,
        TorchEncoder,
        build_network,
    )
    from model.errors import (
        CheckpointError,
        CorruptVideo,
        EncryptedVideo,
        KinolexError,
        LabelError,
        NoFrames,
        NotAVideo,
        NoVideoStream,
        PictureTooLarge,
        StillPicture,
        UnsupportedCodec,
        VideoError,
        VideoTooLong,
    )
    from model.examples import example_weight
    from model.index import Hit, LabelIndex
    from model.index_file import load_index, save_index
    from model.label_block import LabelBlock, Prototypes
    from model.preprocess import PreprocessConfig
    from model.runtime import (
        Measured,
        RuntimeEncoder,
        fastest_on_gpu,
        installed_runtimes,
        make_encoder,
    )
    from model.runtime_trial import cached_choice, trial_command, usual_clips
    from model.sampling import SamplingConfig, Window, clip_timestamps, plan_windows
    from model.segments import Span, duration_ratio, merge_windows
    from model.tagger import Tag, Tagged, Tagger, Unknown
    from model.text import (
        KnowsWords,
        Label,
        SentenceTextEncoder,
        TextEncoder,
        clean_name,
        label_key,
    )
    from model.torch_threads import use_cores
    from model.video import FrameBatch, VideoInfo, VideoLimits, decode, probe

_HOMES = {
    "calibration": ("Calibration", "CalibrationConfig"),
    "checkpoint": ("load_checkpoint", "save_checkpoint"),
    "encoder": (
        "Encoder",
        "EncoderConfig",
        "Runtime",
        "RuntimeName",
        "TorchEncoder",
        "build_network",
    ),
    "errors": (
        "CheckpointError",
        "CorruptVideo",
        "EncryptedVideo",
        "KinolexError",
        "LabelError",
        "NoFrames",
        "NoVideoStream",
        "NotAVideo",
        "PictureTooLarge",
        "StillPicture",
        "UnsupportedCodec",
        "VideoError",
        "VideoTooLong",
    ),
    "examples": ("example_weight",),
    "index": ("Hit", "LabelIndex"),
    "index_file": ("load_index", "save_index"),
    "label_block": ("LabelBlock", "Prototypes"),
    "preprocess": ("PreprocessConfig",),
    "runtime": (
        "Measured",
        "RuntimeEncoder",
        "fastest_on_gpu",
        "installed_runtimes",
        "make_encoder",
    ),
    "runtime_trial": ("cached_choice", "trial_command", "usual_clips"),
    "sampling": ("SamplingConfig", "Window", "clip_timestamps", "plan_windows"),
    "segments": ("Span", "duration_ratio", "merge_windows"),
    "tagger": ("Tag", "Tagged", "Tagger", "Unknown"),
    "text": (
        "KnowsWords",
        "Label",
        "SentenceTextEncoder",
        "TextEncoder",
        "clean_name",
        "label_key",
    ),
    "torch_threads": ("use_cores",),
    "video": ("FrameBatch", "VideoInfo", "VideoLimits", "decode", "probe"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Calibration",
    "CalibrationConfig",
    "CheckpointError",
    "CorruptVideo",
    "Encoder",
    "EncoderConfig",
    "EncryptedVideo",
    "FrameBatch",
    "Hit",
    "KinolexError",
    "KnowsWords",
    "Label",
    "LabelBlock",
    "LabelError",
    "LabelIndex",
    "Measured",
    "NoFrames",
    "NoVideoStream",
    "NotAVideo",
    "PictureTooLarge",
    "PreprocessConfig",
    "Prototypes",
    "Runtime",
    "RuntimeEncoder",
    "RuntimeName",
    "SamplingConfig",
    "SentenceTextEncoder",
    "Span",
    "StillPicture",
    "Tag",
    "Tagged",
    "Tagger",
    "TextEncoder",
    "TorchEncoder",
    "Unknown",
    "UnsupportedCodec",
    "VideoError",
    "VideoInfo",
    "VideoLimits",
    "VideoTooLong",
    "Window",
    "build_network",
    "cached_choice",
    "clean_name",
    "clip_timestamps",
    "decode",
    "duration_ratio",
    "example_weight",
    "fastest_on_gpu",
    "installed_runtimes",
    "label_key",
    "load_checkpoint",
    "load_index",
    "make_encoder",
    "merge_windows",
    "plan_windows",
    "probe",
    "save_checkpoint",
    "save_index",
    "trial_command",
    "use_cores",
    "usual_clips",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
