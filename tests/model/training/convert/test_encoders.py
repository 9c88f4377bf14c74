"""VideoPrism and PE-Core become checkpoints that embed as their own libraries do, and serve."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import VideoPrismProcessor

from model.checkpoint import load_checkpoint
from model.encoder.compiled_encoder import can_compile
from model.encoder.openvino_encoder import OpenVinoEncoder
from model.errors import CheckpointError, LabelError
from model.tagger import Tagger
from model.training.convert.import_model import ImportOptions, import_model
from model.video.reader import FrameBatch
from tests.support.runtime_parity import assert_compiled_gives_the_same, assert_same_embeddings
from tests.support.tiny_encoders import (
    PE_NAME,
    PE_SIDE,
    PRISM_FRAMES,
    PRISM_SIDE,
    PRISM_TOKENS,
    pe_config,
    prism_tokenizer,
    save_pe_core,
    save_video_prism,
    tiny_pe_core,
    tiny_video_prism,
)
from tests.support.tiny_towers import WORDS

TEXTS = ["juggling", "riding a horse", "a video of a red cat riding a blue dog " * 3]
COMMAND = "kinolex checkpoint import tiny"


@pytest.fixture(scope="module")
def prism() -> Any:
    return tiny_video_prism()


@pytest.fixture(scope="module")
def prism_folder(prism: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_video_prism(prism, tmp_path_factory.mktemp("prism") / "tiny")


@pytest.fixture(scope="module")
def prism_tagger(prism_folder: Path) -> Tagger:
    return load_checkpoint(import_model(str(prism_folder), prism_folder / "out", command=COMMAND))


@pytest.fixture(scope="module")
def pe() -> Any:
    return tiny_pe_core()


@pytest.fixture(scope="module")
def pe_folder(pe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pe_core(pe, tmp_path_factory.mktemp("pe") / "tiny")


@pytest.fixture(scope="module")
def pe_tagger(pe_folder: Path) -> Tagger:
    options = ImportOptions(frames=2)
    return load_checkpoint(
        import_model(str(pe_folder), pe_folder / "out", command=COMMAND, options=options)
    )


def unit(vectors: torch.Tensor) -> npt.NDArray[np.float32]:
    return torch.nn.functional.normalize(vectors.flatten(1), dim=-1).detach().numpy()


def frames(count: int, height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    shape = (count, height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def batch(pixels: npt.NDArray[np.uint8]) -> FrameBatch:
    return FrameBatch(pixels, np.arange(len(pixels), dtype=np.float64))


def test_video_prism_embeds_frames_as_transformers_does(
    prism: Any, prism_folder: Path, prism_tagger: Tagger
) -> None:
    pixels = frames(PRISM_FRAMES, PRISM_SIDE, PRISM_SIDE)
    processor: Any = VideoPrismProcessor.from_pretrained(prism_folder)
    theirs = processor(videos=[torch.from_numpy(pixels).permute(0, 3, 1, 2)], return_tensors="pt")
    with torch.no_grad():
        expected = unit(prism.get_video_features(theirs["pixel_values_videos"]).pooler_output)
    np.testing.assert_allclose(prism_tagger.embed_frames([batch(pixels)]), expected, atol=1e-5)


def test_video_prism_sees_the_order_of_frames(prism_tagger: Tagger) -> None:
    pixels = frames(PRISM_FRAMES, PRISM_SIDE, PRISM_SIDE)
    forward, backward = prism_tagger.embed_frames([batch(pixels), batch(pixels[::-1].copy())])
    assert float(forward @ backward) < 0.9999


def test_video_prism_is_used_with_the_frames_and_pixels_of_its_training(
    prism_tagger: Tagger,
) -> None:
    assert prism_tagger.sampling.frames_per_clip == PRISM_FRAMES
    pixels = prism_tagger.preprocess
    assert (pixels.crop_side, pixels.squash) == (PRISM_SIDE, True)
    assert (pixels.mean, pixels.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_video_prism_takes_other_numbers_and_sizes_of_frames(
    prism: Any, prism_tagger: Tagger
) -> None:
    pixels = torch.rand(1, 1, 6, 3, 54, 54, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = prism.get_video_features(pixels[0], interpolate_pos_encoding=True).pooler_output
    np.testing.assert_allclose(prism_tagger.encoder.encode(pixels), unit(found), atol=1e-5)


def test_video_prism_embeds_texts_as_transformers_does(prism: Any, prism_tagger: Tagger) -> None:
    tokens = prism_tokenizer()(
        TEXTS, padding="max_length", truncation=True, max_length=PRISM_TOKENS, return_tensors="pt"
    )
    with torch.no_grad():
        found = prism.get_text_features(tokens["input_ids"], tokens["attention_mask"])
    np.testing.assert_allclose(
        prism_tagger.text.encode(TEXTS), unit(found.pooler_output), atol=1e-5
    )


def test_pe_core_embeds_frames_as_open_clip_does(
    pe: Any, pe_folder: Path, pe_tagger: Tagger
) -> None:
    import open_clip
    from PIL import Image

    pixels = frames(2, PE_SIDE, PE_SIDE)
    _, transform = open_clip.create_model_from_pretrained(f"local-dir:{pe_folder}")
    pictures = torch.stack([transform(Image.fromarray(picture)) for picture in pixels])
    with torch.no_grad():
        expected = unit(pe.encode_image(pictures).mean(dim=0, keepdim=True))
    np.testing.assert_allclose(pe_tagger.embed_frames([batch(pixels)]), expected, atol=1e-5)


def test_pe_core_embeds_texts_as_open_clip_does(pe: Any, pe_tagger: Tagger) -> None:
    import open_clip

    texts = [*TEXTS, "It's 3 o'clock; naïve café!", "Two  DOGS\tin the snow"]
    tokens = open_clip.SimpleTokenizer(context_length=12)(texts)
    with torch.no_grad():
        expected = unit(pe.encode_text(tokens))
    np.testing.assert_allclose(pe_tagger.text.encode(texts), expected, atol=1e-5)


def test_pe_core_squashes_wide_frames(pe_tagger: Tagger) -> None:
    assert pe_tagger.preprocess.squash
    assert pe_tagger.widescreen_shape[-2:] == (PE_SIDE, PE_SIDE)


@pytest.mark.parametrize("name", ["prism_tagger", "pe_tagger"])
def test_it_is_served(
    name: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_settings: Callable[..., Any],
) -> None:
    from tests.support.served import assert_served_cosines

    assert_served_cosines(request.getfixturevalue(name), tmp_path, make_settings)


@pytest.mark.parametrize(
    "name", ["prism_tagger", pytest.param("pe_tagger", marks=pytest.mark.slow)]
)
def test_openvino_computes_the_same(name: str, request: pytest.FixtureRequest) -> None:
    encoder = assert_same_embeddings(request.getfixturevalue(name), "openvino")

    assert isinstance(encoder, OpenVinoEncoder)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="needs a C++ compiler")
@pytest.mark.usefixtures("pe_tagger")
def test_torch_compile_computes_the_same(pe_folder: Path, tmp_path: Path) -> None:
    assert_compiled_gives_the_same(pe_folder / "out", tmp_path)


def no_pooling(folder: Path) -> None:
    document = json.loads((folder / "config.json").read_text())
    document["vision_config"]["apply_l2norm"] = False
    (folder / "config.json").write_text(json.dumps(document))


def other_tokenizer(folder: Path) -> None:
    prism_tokenizer(["другие", "слова"]).save_pretrained(folder)


def fewer_tokens(folder: Path) -> None:
    prism_tokenizer([*"0123456789", *WORDS]).save_pretrained(folder)


@pytest.mark.parametrize(
    ("processing", "spoil", "message"),
    [
        ({"size": {"height": 30, "width": 30}}, None, "size: .* 30 px.* 36 px"),
        ({"do_normalize": True}, None, "mean: VideoPrism takes pixels in 0..1"),
        ({}, no_pooling, "pooling: "),
        ({}, other_tokenizer, "tokenizer: it knows no word"),
        ({}, fewer_tokens, "tokenizer: it has a token"),
    ],
)
def test_a_video_prism_with_a_wrong_contract_is_refused_by_name(
    prism: Any,
    tmp_path: Path,
    processing: dict[str, Any],
    spoil: Callable[[Path], None] | None,
    message: str,
) -> None:
    folder = save_video_prism(prism, tmp_path / "tiny", **processing)
    if spoil:
        spoil(folder)
    with pytest.raises(CheckpointError, match=message):
        import_model(str(folder), tmp_path / "out", command=COMMAND)


def pe_with(**changes: Any) -> dict[str, Any]:
    config = pe_config()
    config["model_cfg"]["vision_cfg"] |= {k: v for k, v in changes.items() if "_" in k}
    config["preprocess_cfg"] |= {k: v for k, v in changes.items() if k in config["preprocess_cfg"]}
    return config


def pe_with_text(**changes: Any) -> dict[str, Any]:
    config = pe_config()
    config["model_cfg"]["text_cfg"] |= changes
    return config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (pe_with(image_size=224), "size: .* 224 px.* 384 px"),
        (pe_with(resize_mode="shortest"), "size: .*squash"),
        (pe_with(mean=[127.5, 127.5, 127.5]), "mean: "),
        (pe_with(timm_pool="avg"), "pooling: "),
        (pe_with_text(pool_type="last"), "pooling: the text tower .* not 'last'"),
        (pe_with_text(no_causal_mask=True), "pooling: the text tower"),
        (pe_with_text(hf_tokenizer_name="org/other"), "tokenizer: .* not org/other"),
        (pe_with_text(vocab_size=32000), "tokenizer: .* not 32000"),
        (pe_with(timm_model_name="vit_base_patch16_224"), "only PE-Core can be imported"),
    ],
)
def test_a_pe_core_with_a_wrong_contract_is_refused_by_name(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        import_model(str(tmp_path), tmp_path / "out", command=COMMAND)


def test_pickled_weights_of_a_pe_core_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(pe_config()))
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pickled weights are not read"):
        import_model(str(tmp_path), tmp_path / "out", command=COMMAND)


def test_x_clip_is_refused_with_the_reason(tmp_path: Path) -> None:
    from transformers import XCLIPConfig

    XCLIPConfig().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="text vectors of X-CLIP depend on the video"):
        import_model(str(tmp_path), tmp_path / "out", command=COMMAND)


def test_a_control_token_in_a_label_is_an_error_of_the_label(
    prism: Any, prism_folder: Path, tmp_path: Path
) -> None:
    out = import_model(str(prism_folder), tmp_path / "out", command=COMMAND)
    tokenizer = out / "text" / "tokenizer.json"
    document = json.loads(tokenizer.read_text())
    extra = document["added_tokens"][0] | {"id": 4000, "content": "<extra>", "special": True}
    document["added_tokens"].append(extra)
    tokenizer.write_text(json.dumps(document))
    (out / "SHA256SUMS").unlink()
    with pytest.raises(LabelError, match="control token"):
        load_checkpoint(out).text.encode(["<extra>"])


def test_an_architecture_that_is_not_pe_core_is_no_checkpoint(
    pe_tagger: Tagger, pe_folder: Path, tmp_path: Path
) -> None:
    copied = shutil.copytree(pe_folder / "out", tmp_path / "copy")
    (copied / "SHA256SUMS").unlink()
    path = copied / "config.json"
    path.write_text(path.read_text().replace(PE_NAME, "hf-hub:someone/else"))
    with pytest.raises(CheckpointError, match="architecture"):
        load_checkpoint(copied)
