from .calibration import Calibration, CalibrationConfig, VideoQuery, VideoRanking
from .checkpoint import load_checkpoint, save_checkpoint
from .cpu.torch_threads import use_cores
from .encoder.encoder import Encoder, Runtime, RuntimeName, ShapedEncoder
from .encoder.networks import EncoderConfig, build_network
from .encoder.preprocess import PreprocessConfig
from .encoder.runtime import RuntimeEncoder, installed_runtimes, make_encoder
from .encoder.runtime_measurement import Measured, fastest_on_gpu
from .encoder.torch_encoder import TorchEncoder
from .errors import (
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
    UnknownWords,
    UnsupportedCodec,
    VideoError,
    VideoTooLong,
)
from .examples import example_weight
from .index.index_file import load_index, save_index
from .index.label_block import LabelBlock, Prototypes
from .index.label_index import Hit, LabelIndex
from .label_spans import LabelSpan, LabelSpans, RankedWindows, label_spans
from .runtime_trial import measured_runtime, refused_runtimes, start_runtime_trial
from .segment_tagging import SegmentTagging, TaggedSegments, WindowTags
from .segments import Hysteresis, Segment
from .tagger import Tagged, Tagger
from .tags import LIKELY_SCORE, POSSIBLE_SCORE, Likelihood, Tag, Unknown, likelihood
from .text.labels import (
    MAX_NAME_CHARACTERS,
    Label,
    clean_name,
    clean_text,
    folded_text,
    label_key,
    look_alike_letters,
    plain_text,
)
from .text.sentence_encoder import SentenceTextEncoder
from .text.text_encoder import KnowsWords, TextEncoder
from .video.films.chunks import ChunkBatch, ChunkPlan, WindowMeans, chunks_of_windows, group_chunks
from .video.films.windows import WindowPlan
from .video.reader import FrameBatch, VideoInfo, VideoLimits, decode, probe
from .video.sampling import SamplingConfig, Window

__all__ = [
    "LIKELY_SCORE",
    "MAX_NAME_CHARACTERS",
    "POSSIBLE_SCORE",
    "Calibration",
    "CalibrationConfig",
    "CheckpointError",
    "ChunkBatch",
    "ChunkPlan",
    "CorruptVideo",
    "Encoder",
    "EncoderConfig",
    "EncryptedVideo",
    "FrameBatch",
    "Hit",
    "Hysteresis",
    "KinolexError",
    "KnowsWords",
    "Label",
    "LabelBlock",
    "LabelError",
    "LabelIndex",
    "LabelSpan",
    "LabelSpans",
    "Likelihood",
    "Measured",
    "NoFrames",
    "NoVideoStream",
    "NotAVideo",
    "PictureTooLarge",
    "PreprocessConfig",
    "Prototypes",
    "RankedWindows",
    "Runtime",
    "RuntimeEncoder",
    "RuntimeName",
    "SamplingConfig",
    "Segment",
    "SegmentTagging",
    "SentenceTextEncoder",
    "ShapedEncoder",
    "StillPicture",
    "Tag",
    "Tagged",
    "TaggedSegments",
    "Tagger",
    "TextEncoder",
    "TorchEncoder",
    "Unknown",
    "UnknownWords",
    "UnsupportedCodec",
    "VideoError",
    "VideoInfo",
    "VideoLimits",
    "VideoQuery",
    "VideoRanking",
    "VideoTooLong",
    "Window",
    "WindowMeans",
    "WindowPlan",
    "WindowTags",
    "build_network",
    "chunks_of_windows",
    "clean_name",
    "clean_text",
    "decode",
    "example_weight",
    "fastest_on_gpu",
    "folded_text",
    "group_chunks",
    "installed_runtimes",
    "label_key",
    "label_spans",
    "likelihood",
    "load_checkpoint",
    "load_index",
    "look_alike_letters",
    "make_encoder",
    "measured_runtime",
    "plain_text",
    "probe",
    "refused_runtimes",
    "save_checkpoint",
    "save_index",
    "start_runtime_trial",
    "use_cores",
]
