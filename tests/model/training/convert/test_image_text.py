"""A CLIP or a SigLIP becomes a checkpoint that embeds as transformers does, and serves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import AutoImageProcessor, CLIPProcessor

from model.checkpoint import load_checkpoint, read_config
from model.encoder.compiled_encoder import can_compile
from model.encoder.openvino_encoder import OpenVinoEncoder
from model.encoder.torch_encoder import TorchEncoder
from model.errors import CheckpointError
from model.tagger import Tagger
from model.text.pretrained import without_progress_bars
from model.training.convert.import_model import import_model
from model.training.data.manifest import read_manifest
from model.training.measure.evaluate import EvaluationOptions, evaluate
from tests.support.clips import write_clip
from tests.support.runtime_parity import assert_compiled_gives_the_same, assert_same_embeddings
from tests.support.tiny_towers import (
    MEAN,
    SIDE,
    STD,
    save_tiny,
    tiny_clip,
    tiny_siglip,
    tiny_tokenizer,
)
from tests.support.training_tree import NAMES, write_pictures

TEXTS = ["juggling", "riding a horse", "a video of a red cat riding a blue dog " * 3]
FAMILIES = {"clip": tiny_clip, "siglip": tiny_siglip}


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def original(family: str) -> Any:
    return FAMILIES[family]()


@pytest.fixture(scope="module")
def imported(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("towers")
    source = save_tiny(original, folder / "tiny")
    return import_model(str(source), folder / "out", command="kinolex checkpoint import tiny")


@pytest.fixture(scope="module")
def tagger(imported: Path) -> Tagger:
    return load_checkpoint(imported)


def unit(vectors: torch.Tensor) -> npt.NDArray[np.float32]:
    return torch.nn.functional.normalize(vectors, dim=-1).detach().numpy()


def picture_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    found = model.get_image_features(pixel_values=pixels)
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def text_features(model: Any, texts: list[str]) -> torch.Tensor:
    is_clip = model.config.model_type == "clip"
    tokens = tiny_tokenizer()(
        texts, padding=True if is_clip else "max_length", truncation=True, return_tensors="pt"
    )
    found = model.get_text_features(
        tokens["input_ids"], attention_mask=tokens["attention_mask"] if is_clip else None
    )
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def test_a_still_clip_embeds_as_transformers_embeds_its_picture(
    original: Any, tagger: Tagger
) -> None:
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    clips = pixels[:, None, None].expand(-1, 1, 4, -1, -1, -1)
    np.testing.assert_allclose(
        tagger.encoder.encode(clips), unit(picture_features(original, pixels)), atol=1e-5
    )


def test_a_videos_frames_are_embedded_one_by_one_and_averaged(
    original: Any, tagger: Tagger
) -> None:
    pixels = torch.randn(2, 3, 4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    features = picture_features(original, pixels.flatten(0, 2)).reshape(2, 12, -1)
    np.testing.assert_allclose(tagger.encoder.encode(pixels), unit(features.mean(dim=1)), atol=1e-5)


def test_pictures_of_another_size_are_seen_too(original: Any, tagger: Tagger) -> None:
    pixels = torch.randn(1, 1, 1, 3, 48, 40, generator=torch.Generator().manual_seed(2))
    found = original.get_image_features(pixel_values=pixels[0, 0], interpolate_pos_encoding=True)
    np.testing.assert_allclose(tagger.encoder.encode(pixels), unit(found.pooler_output), atol=1e-5)


def test_texts_embed_as_transformers_embeds_them(original: Any, tagger: Tagger) -> None:
    np.testing.assert_allclose(
        tagger.text.encode(TEXTS), unit(text_features(original, TEXTS)), atol=1e-5
    )
    assert tagger.text.encode([]).shape == (0, tagger.text.dim)


def test_the_models_own_pictures_and_nothing_else_decide_preprocessing(tagger: Tagger) -> None:
    pixels = tagger.preprocess
    assert (pixels.short_side, pixels.crop_side, pixels.max_aspect_ratio) == (SIDE, SIDE, 1.0)
    assert (pixels.mean, pixels.std) == (MEAN, STD)
    assert not tagger.text_mean.any()
    assert len(tagger.calibration.bank) == 0


def test_its_card_says_what_its_pretraining_is_not(imported: Path) -> None:
    card = (imported / "README.md").read_text()
    assert "Not zero-shot in the sense of Brattoli et al. (CVPR 2020, equation 3)" in card
    assert "kinolex checkpoint import tiny" in card


def test_nothing_in_it_is_pickled(imported: Path) -> None:
    kinds = {file.suffix for file in imported.rglob("*") if file.is_file()}
    assert kinds == {".json", ".safetensors", ".md", ""}


def test_a_text_tower_that_is_another_than_the_imported_one_is_refused(
    imported: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(imported, copied)
    (copied / "SHA256SUMS").unlink()
    weights = copied / "text" / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\x3d\x3d")
    with pytest.raises(CheckpointError, match="was trained with"):
        load_checkpoint(copied)
    shutil.rmtree(copied / "text")
    with pytest.raises(CheckpointError, match=r"text model .* is missing"):
        load_checkpoint(copied)


def test_it_is_served_with_labels_of_its_own(
    imported: Path, tmp_path: Path, make_settings: Callable[..., Any]
) -> None:
    from tests.support.servers import open_client

    tagger = load_checkpoint(imported)
    write_clip(tmp_path / "red.mp4", seconds_colours=["red"])
    labels = ["riding a horse", "red wall", "juggling"]
    with open_client(make_settings(), tagger=tagger) as client:
        with (tmp_path / "red.mp4").open("rb") as file:
            answer = client.post(
                "/classify", files={"file": file}, data={"labels": labels, "top_k": 3}
            )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert {tag["label"] for tag in body["tags"]} == set(labels)
        assert body["model"]["id"] == "tiny"
        assert not body["unknown"]["is_unknown"]

    with (tmp_path / "red.mp4").open("rb") as file:
        _, embedding = tagger.embed(file)
    expected = {name: float(tagger.text.encode([name])[0] @ embedding) for name in labels}
    for tag in body["tags"]:
        assert tag["similarity"] == pytest.approx(expected[tag["label"]], abs=1e-4)


def test_openvino_computes_the_same(tagger: Tagger) -> None:
    assert isinstance(assert_same_embeddings(tagger, "openvino"), OpenVinoEncoder)


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(), reason="needs a C++ compiler")
def test_torch_compile_computes_the_same(imported: Path, tmp_path: Path) -> None:
    assert_compiled_gives_the_same(imported, tmp_path)


def test_it_is_evaluated_like_any_other(imported: Path, tmp_path: Path) -> None:
    manifest = write_pictures(tmp_path / "pictures")
    rows = manifest.read_text().splitlines()
    splits = ("train", "test")  # as in UCF101, where every class has both
    marked = [f"{row},{splits[number // len(NAMES) % 2]}" for number, row in enumerate(rows[1:])]
    manifest.write_text("\n".join([rows[0] + ",split", *marked]))

    report = evaluate(imported, read_manifest(manifest), EvaluationOptions(log=lambda _: None))
    assert report.model_id == "tiny"
    [suite] = report.suites
    assert {row.label for row in suite.classes} == {f"{colour} wall" for colour in NAMES}


def change_config(folder: Path, **changes: Any) -> None:
    document = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(document | changes))


def pickled(folder: Path) -> None:
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda f: change_config(f, model_type="bert"), "'bert'.*CLIP", id="family"),
        pytest.param(lambda f: change_config(f, model_type="x9"), "cannot be imported", id="type"),
        pytest.param(pickled, "cannot be imported", id="pickle"),
        pytest.param(lambda f: (f / "config.json").unlink(), "cannot be imported", id="no config"),
        pytest.param(
            lambda f: (f / "modules.json").write_text(
                '[{"path": ""}, {"path": "1", "type": "a.b.Dense"}]'
            ),
            r"a\.b\.Dense is code of the model's own",
            id="modules",
        ),
        pytest.param(
            lambda f: (f / "modules.json").write_text('[{"path": ".."}]'),
            "points outside",
            id="path",
        ),
    ],
)
def test_a_model_that_cannot_be_imported_is_an_error(
    tmp_path: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    source = save_tiny(tiny_clip(), tmp_path / "tiny")
    spoil(source)
    with pytest.raises(CheckpointError, match=message):
        import_model(str(source), tmp_path / "out", command="")


def change_processor(folder: Path, **changes: Any) -> None:
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_part(folder: Path, part: str, **changes: Any) -> None:
    document = json.loads((folder / "config.json").read_text())
    document[part] |= changes
    (folder / "config.json").write_text(json.dumps(document))


def change_text(folder: Path, **changes: Any) -> None:
    change_part(folder, "text_config", **changes)


def without_head(folder: Path) -> None:
    change_part(folder, "vision_config", vision_use_head=False)


def other_number(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"riding": 8', '"riding": 800'))


@pytest.mark.parametrize(
    ("make", "spoil", "message"),
    [
        (
            tiny_siglip,
            lambda f: change_processor(f, size={"height": 64, "width": 64}),
            "size: .* 64 px.* 32 px",
        ),
        (
            tiny_clip,
            lambda f: change_processor(f, crop_size={"height": 30, "width": 30}),
            "size: .* 30 px.* 32 px",
        ),
        (tiny_clip, lambda f: change_processor(f, image_mean=[120, 115, 100]), "mean: "),
        (tiny_clip, lambda f: change_processor(f, do_normalize=False), "mean: "),
        (tiny_clip, lambda f: change_processor(f, rescale_factor=1.0), "mean: .*scales pixels"),
        (tiny_clip, lambda f: change_text(f, eos_token_id=19), "pooling: .* token 19"),
        (tiny_clip, other_number, "tokenizer: it has a token 800"),
        (tiny_siglip, lambda f: change_processor(f, image_std=[0.5, 0.5, 0.0]), "mean: "),
        (tiny_siglip, without_head, "pooling: this SigLIP has no attention pooling head"),
        (tiny_siglip, other_number, "tokenizer: it has a token 800"),
    ],
)
def test_a_wrong_contract_is_refused_by_name(
    tmp_path: Path,
    make: Callable[[], Any],
    spoil: Callable[[Path], Any],
    message: str,
) -> None:
    source = save_tiny(make(), tmp_path / "tiny")
    spoil(source)
    with pytest.raises(CheckpointError, match=message):
        import_model(str(source), tmp_path / "out", command="")


def test_a_siglip_sees_the_whole_frame_and_a_clip_its_middle(family: str, tagger: Tagger) -> None:
    assert tagger.preprocess.squash == (family == "siglip")


@pytest.mark.parametrize("missing", ["./nowhere", "/nowhere"])
def test_a_missing_folder_is_an_error(tmp_path: Path, missing: str) -> None:
    with pytest.raises(CheckpointError, match="is not a directory"):
        import_model(missing, tmp_path, command="")


def test_a_model_that_sentence_transformers_saved_embeds_as_there(tmp_path: Path) -> None:
    source = save_tiny(tiny_clip(), tmp_path / "tiny")
    # transformers leaves these two without types
    image_processor: Any = AutoImageProcessor
    processor: Any = CLIPProcessor
    pictures = image_processor.from_pretrained(source)
    processor(pictures, tiny_tokenizer()).save_pretrained(source)
    with without_progress_bars():
        theirs = SentenceTransformer(str(source), device="cpu", local_files_only=True)
        theirs.save(str(tmp_path / "saved"))

    out = import_model(str(tmp_path / "saved"), tmp_path / "out", command="")
    np.testing.assert_allclose(
        load_checkpoint(out).text.encode(TEXTS),
        theirs.encode(TEXTS, normalize_embeddings=True),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 10**9}, "1..65536"),
        ({"num_hidden_layers": 300}, "num_hidden_layers must be at most 256"),
        ({"num_attention_heads": 5}, "num_attention_heads must divide"),
        ({"hidden_size": 48}, "weights do not fit vision_tower"),
        ({"patch_size": 64}, "patch_size must be at most image_size, not 64 > 32"),
        ({"family": "bert"}, "family"),
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"auto_map": "evil.Code"}, "auto_map"),
    ],
)
def test_a_tower_of_impossible_sizes_is_refused(
    imported: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    copied = shutil.copytree(imported, tmp_path / "copy")
    (copied / "SHA256SUMS").unlink()
    document = json.loads((copied / "config.json").read_text())
    document["encoder"]["tower"] |= changes
    (copied / "config.json").write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(copied)


def test_the_layout_of_sentence_transformers_is_found(tmp_path: Path) -> None:
    save_tiny(tiny_clip(), tmp_path / "tiny" / "0_CLIPModel")
    (tmp_path / "tiny" / "modules.json").write_text(
        '[{"path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"},'
        ' {"path": "1", "type": "sentence_transformers.models.Normalize"}]'
    )
    out = import_model(str(tmp_path / "tiny"), tmp_path / "out", command="")
    assert read_config(out).model_id == "tiny"
    assert isinstance(load_checkpoint(out).encoder, TorchEncoder)
