"""Recorded graphs compute what was recorded, or recording is refused."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model.encoder.split.recording import record


def numbers(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_graph_computes_the_same_for_other_inputs() -> None:
    layers = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    examples, others = ([numbers(seed + row, 2, 3, 8) for row in (0, 1)] for seed in (0, 2))
    graph = record(lambda first, second: layers(first) + second, examples)
    with torch.no_grad():
        torch.testing.assert_close(graph(*others), layers(others[0]) + others[1])


def test_weights_are_shared() -> None:
    layer = nn.Linear(3, 3)
    graph = record(layer, [numbers(0, 2, 3)])
    kept = {buffer.data_ptr() for buffer in graph.buffers()}
    assert layer.weight.data_ptr() in kept


def test_sizes_that_are_read_from_other_tensors_are_constants() -> None:
    sizes = torch.tensor([1, 2])

    def compute(values: Tensor) -> Tensor:
        first, second = torch.split(values, sizes.tolist())
        return torch.cat([second.repeat(int(sizes.prod()), 1), first])

    other = numbers(1, 3, 4)
    torch.testing.assert_close(record(compute, [numbers(0, 3, 4)])(other), compute(other))


def test_an_output_of_several_tensors_is_recorded() -> None:
    def compute(values: Tensor) -> Tensor:
        largest, places = values.max(dim=1)
        return largest + places

    other = numbers(1, 3, 4)
    torch.testing.assert_close(record(compute, [numbers(0, 3, 4)])(other), compute(other))


def test_what_is_written_into_a_result_is_recorded() -> None:
    rows = torch.tensor([True, False, True])

    def compute(values: Tensor) -> Tensor:
        doubled = values * 2
        doubled[rows, :] = values[rows, :] + 1
        return doubled

    other = numbers(1, 3, 4)
    graph = record(compute, [numbers(0, 3, 4)])
    torch.testing.assert_close(graph(other), compute(other))
    torch.testing.assert_close(graph(other), compute(other))


def branches_on_content(values: Tensor) -> Tensor:
    return values * 2 if values.sum() > 0 else values


def writes_into_a_constant(values: Tensor) -> Tensor:
    return torch.zeros(3, 4).add_(values)


def changes_a_constant_after_its_use(values: Tensor) -> Tensor:
    constant = torch.ones(3, 4)
    found = values + constant
    constant.mul_(2)
    return found + constant


def ignores_its_input(_: Tensor) -> Tensor:
    return torch.zeros(3)


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (branches_on_content, "depends on the inputs"),
        (writes_into_a_constant, "changes a tensor"),
        (changes_a_constant_after_its_use, "changes a tensor"),
        (ignores_its_input, "does not depend on the inputs"),
    ],
)
def test_what_a_graph_cannot_repeat_is_refused(
    compute: Callable[[Tensor], Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        record(compute, [numbers(0, 3, 4)])
