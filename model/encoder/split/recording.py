"""Record what a function computes from its input tensors as a graph of tensor operations.

Tracers of PyTorch stop where a library reads numbers from tensors, such as the sizes of pictures.
Here, everything that does not follow from the inputs is computed while recording, and is a
constant of the graph.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import getitem
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

# A view of one memory layout, where another runtime may have another.
_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)


def record(compute: Callable[..., Tensor], inputs: Sequence[Tensor]) -> fx.GraphModule:
    """Return a module that maps tensors of the shapes of `inputs` to what `compute` gives for them.

    The weights are shared, not copied. Raises ValueError where a step of `compute` depends on the
    numbers in `inputs` by more than tensor operations, or changes a tensor that is no result.
    """
    recorder = _Recorder(inputs)
    with torch.no_grad(), recorder:
        found = compute(*inputs)
    return recorder.module(found)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not type it
    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor this
        self._graph = fx.Graph()
        self._constants = nn.Module()
        self._constant_nodes: dict[int, fx.Node] = {}
        self._nodes: dict[int, fx.Node] = {}
        # Nodes are found by the identity of tensors, which another tensor must not take over.
        self._kept: list[Tensor] = []
        for number, tensor in enumerate(inputs):
            self._keep(tensor, self._graph.placeholder(f"input{number}"))

    def module(self, output: Tensor) -> fx.GraphModule:
        """Return the recorded graph that ends with `output`."""
        if id(output) not in self._nodes:
            raise ValueError("the result does not depend on the inputs")
        self._graph.output(self._nodes[id(output)])
        return fx.GraphModule(self._constants, self._graph)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = tuple(args), dict(kwargs or {})
        tensors = [leaf for leaf in tree_leaves(given) if isinstance(leaf, Tensor)]
        is_recorded = any(id(tensor) in self._nodes for tensor in tensors)
        if func._schema.is_mutable:
            self._check_written(func, given, is_recorded)
        if is_recorded and torch.Tag.data_dependent_output in func.tags:
            raise ValueError(f"{func} makes a number of what depends on the inputs")
        found = func(*given[0], **given[1])
        if is_recorded:
            called = torch.ops.aten.reshape.default if func in _VIEWS else func
            arguments = tree_map_only(Tensor, self._node, given)
            self._keep_all(found, self._graph.call_function(called, *arguments))
        return found

    def _check_written(self, func: Any, given: Any, is_recorded: bool) -> None:
        for tensor in _written(func, given):
            if id(tensor) in self._constant_nodes or (
                is_recorded and id(tensor) not in self._nodes
            ):
                raise ValueError(f"{func} changes a tensor that does not depend on the inputs")

    def _node(self, tensor: Tensor) -> fx.Node:
        known = self._nodes.get(id(tensor)) or self._constant_nodes.get(id(tensor))
        if known is not None:
            return known
        name = f"constant{len(self._constant_nodes)}"
        self._constants.register_buffer(name, tensor.detach())
        self._constant_nodes[id(tensor)] = self._graph.get_attr(name)
        self._kept.append(tensor)
        return self._constant_nodes[id(tensor)]

    def _keep_all(self, found: Any, node: fx.Node) -> None:
        if isinstance(found, Tensor):
            self._keep(found, node)
            return
        for number, part in enumerate(found if isinstance(found, tuple | list) else ()):
            if isinstance(part, Tensor):
                self._keep(part, self._graph.call_function(getitem, (node, number)))

    def _keep(self, tensor: Tensor, node: fx.Node) -> None:
        self._nodes[id(tensor)] = node
        self._kept.append(tensor)


def _written(func: Any, given: tuple[tuple[Any, ...], dict[str, Any]]) -> Iterator[Tensor]:
    """Yield the tensors that an operation writes to."""
    args, kwargs = given
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
