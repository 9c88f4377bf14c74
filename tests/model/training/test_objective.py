"""Terms of the loss against values worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from model.training.objective import contrastive, cosine, cross_entropy, distillation, mse


def unit(*rows: tuple[float, ...]) -> Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


EAST, NORTH, WEST = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)
NORTH_EAST = (1.0, 1.0)


def test_mse_is_the_squared_distance_over_the_dimensions() -> None:
    # (1-0)^2 + (0-1)^2 = 2 over 2 dimensions, and 0
    assert mse(unit(EAST, NORTH), unit(NORTH, NORTH)).item() == pytest.approx((1.0 + 0.0) / 2)


def test_cosine_is_half_the_dimensions_times_mse_on_unit_vectors() -> None:
    left, right = torch.randn(2, 6, 10).unbind()
    left, right = (torch.nn.functional.normalize(side, dim=-1) for side in (left, right))

    assert cosine(unit(EAST), unit(WEST)).item() == pytest.approx(2.0)
    assert cosine(left, right).item() == pytest.approx(10 / 2 * mse(left, right).item(), rel=1e-5)


def test_cross_entropy_by_hand() -> None:
    # logits 3 * (1, 0, -1): the loss is log(e^3 + e^0 + e^-3) - 3
    loss = cross_entropy(
        unit(EAST),
        torch.tensor([0]),
        unit(EAST, NORTH, WEST),
        torch.tensor(3.0),
        smoothing=0.0,
        synonym_similarity=1.0,
    )

    assert loss.item() == pytest.approx(math.log(math.e**3 + 1 + math.e**-3) - 3, rel=1e-5)


def test_a_synonym_is_not_a_negative() -> None:
    # north-east has a cosine of 0.71 with the target: left out, its logit is the lowest, -3
    loss = cross_entropy(
        unit(EAST),
        torch.tensor([0]),
        unit(EAST, NORTH_EAST, NORTH),
        torch.tensor(3.0),
        smoothing=0.0,
        synonym_similarity=0.7,
    )

    assert loss.item() == pytest.approx(math.log(math.e**3 + math.e**-3 + 1) - 3, rel=1e-5)


def test_a_synonym_gets_no_gradient() -> None:
    candidates = unit(EAST, NORTH_EAST, NORTH).requires_grad_()
    embeddings = unit(EAST).requires_grad_()
    loss = cross_entropy(
        embeddings,
        torch.tensor([0]),
        candidates,
        torch.tensor(3.0),
        smoothing=0.0,
        synonym_similarity=0.7,
    )
    (gradient,) = torch.autograd.grad(loss, candidates)

    assert gradient[1].abs().sum() == 0
    assert gradient[2].abs().sum() > 0


def test_the_own_text_is_no_synonym_of_itself() -> None:
    loss = cross_entropy(
        unit(EAST),
        torch.tensor([0]),
        unit(EAST, WEST),
        torch.tensor(30.0),
        smoothing=0.0,
        synonym_similarity=0.7,
    )

    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_smoothing_stays_finite_beside_a_synonym() -> None:
    loss = cross_entropy(
        unit(EAST),
        torch.tensor([0]),
        unit(EAST, NORTH_EAST),
        torch.tensor(10.0),
        smoothing=0.1,
        synonym_similarity=0.7,
    )

    # 0.05 of the target's weight goes to the synonym, whose logit is 20 below
    assert loss.item() == pytest.approx(0.05 * 20, rel=1e-4)


def test_distillation_is_nought_for_equal_logits_and_kl_otherwise() -> None:
    teacher = torch.tensor([[math.log(0.75), math.log(0.25)]])
    ours = torch.tensor([[math.log(0.5), math.log(0.5)]])

    assert distillation(teacher + 5, teacher).item() == pytest.approx(0.0, abs=1e-6)
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert distillation(ours, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_contrast_by_hand() -> None:
    # the text east asks among clips at east and at north: logits 2 and 0; north likewise
    loss = contrastive(
        unit(EAST, NORTH),
        torch.tensor([0, 1]),
        slice(0, 2),
        unit(EAST, NORTH),
        torch.tensor(2.0),
        synonym_similarity=1.0,
    )

    assert loss.item() == pytest.approx(math.log(math.e**2 + 1) - 2, rel=1e-5)


def test_contrast_asks_the_own_texts_among_the_clips_of_all() -> None:
    clips, texts = unit(EAST, NORTH, WEST, NORTH_EAST), unit(EAST, NORTH, WEST, NORTH_EAST)
    rows = torch.arange(4)

    def loss(own: slice) -> float:
        scale = torch.tensor(3.0)
        return contrastive(clips, rows, own, texts, scale, synonym_similarity=1.0).item()

    halves = (loss(slice(0, 2)) + loss(slice(2, 4))) / 2
    assert halves == pytest.approx(loss(slice(0, 4)), rel=1e-5)


def test_another_clip_of_the_same_text_is_no_wrong_answer() -> None:
    clips = unit(EAST, NORTH_EAST, WEST).requires_grad_()
    loss = contrastive(
        clips,
        torch.tensor([0, 0, 1]),
        slice(0, 1),
        unit(EAST, WEST),
        torch.tensor(3.0),
        synonym_similarity=1.0,
    )
    (gradient,) = torch.autograd.grad(loss, clips)

    # logits 3, -3 instead of the second clip's 2.1, and -3
    assert loss.item() == pytest.approx(math.log(math.e**3 + 2 * math.e**-3) - 3, rel=1e-4)
    assert gradient[1].abs().sum() == 0
    assert gradient[2].abs().sum() > 0
