"""Train a network end to end. Read this file from top to bottom.

    kinolex train --preset small --data MANIFEST.csv [--data ...] --out runs/small

The `small` preset takes about two hours on two CPU cores. The state in `--out` is written every
`save_every` steps, at the time limit and on SIGTERM; the same command continues from it to the same
weights, bit for bit. Under `torchrun` each process trains on its share of every batch.
"""

import copy
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset

from model.encoder.networks import FrameNetwork, Network
from model.text.text_encoder import TextEncoder
from model.training.config import TrainConfig
from model.training.data.batches import Batch, StepBatches
from model.training.data.manifest import Sample, digest_of
from model.training.data.step_plans import StepPlans
from model.training.distributed import (
    DistributedRank,
    SigtermWatch,
    ignore_sigterm,
    join,
    leave,
    own_device,
    total,
)
from model.training.initial import initial_network
from model.training.objective import TrainingTask, term_names
from model.training.precision import settle_precision
from model.training.progress import ProgressLog
from model.training.resources import TrainingResources
from model.training.schedule import freeze, optimiser_for, set_rates
from model.training.state import TrainState, load_state, save_state
from model.training.words.text_bank import TextBank, build_bank, read_descriptions


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a run: the averaged network, the text bank it was trained with, steps done.

    `start` is the network before the first step. `is_first` is true in the one process of a
    distributed run that writes the checkpoint.
    """

    network: Network
    bank: TextBank
    steps: int
    start: Network
    is_first: bool = True


def train(
    config: TrainConfig,
    samples: Sequence[Sample],
    text: TextEncoder,
    out: Path,
    resources: TrainingResources,
) -> Trained:
    """Train to `config.steps`, a time limit or SIGTERM, continuing from a state in `out`.

    Raises ValueError when the state in `out` belongs to another configuration or other data.
    """
    deadline = time.monotonic() + 60 * resources.max_minutes
    sigterm = SigtermWatch()
    process = join()
    device = own_device(resources.device, process)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)

    # data
    bank, batches = _texts_and_batches(config, samples, text, out, process)

    # network
    network = _network_on(device, initial_network(config, text, bank.mean))
    config = settle_precision(config, network, out, device, process, resources.log)
    teacher = copy.deepcopy(network).requires_grad_(False).eval()
    freeze(network, config.optimiser)
    task = TrainingTask(network, teacher, bank.vectors.to(device), config, process).to(device)
    optimiser = optimiser_for(network, task.scale, config.optimiser)
    state = TrainState(network, copy.deepcopy(network), task.scale, optimiser, digest_of(samples))
    first = load_state(out, state, config)
    is_distributed = process.world_size > 1
    forward = DistributedDataParallel(task, find_unused_parameters=True) if is_distributed else task

    # loop
    progress = ProgressLog(
        config.steps, first, out, resources.log, tensorboard=resources.tensorboard
    )
    step = first
    for batch in _loader(batches, range(first, config.steps), resources.workers):
        set_rates(optimiser, config.optimiser, step, config.steps)
        task.head_only = step < config.optimiser.head_steps
        terms = _backward(forward, batch, config, device)
        nn.utils.clip_grad_norm_(
            network.parameters(), config.optimiser.largest_gradient or float("inf")
        )
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        _average(state, config, step)
        step += 1

        # all processes stop after the same step, or one would wait for the others forever
        must_stop = sigterm.was_received() or time.monotonic() > deadline
        *sums, skipped, stops = total([*terms.values(), batch.skipped, must_stop], process)
        if process.is_first:
            means = {k: v / process.world_size for k, v in zip(terms, sums, strict=True)}
            clips = len(batch.target_rows) * process.world_size
            progress.update(step, means, clips=clips, skipped=int(skipped))
            if stops or step % config.save_every == 0 or step == config.steps:
                save_state(out, state, config, step)
        if stops:
            break
    leave(process)
    sigterm.end()
    return Trained(state.averaged, bank, step, teacher, process.is_first)


def _texts_and_batches(
    config: TrainConfig,
    samples: Sequence[Sample],
    text: TextEncoder,
    out: Path,
    process: DistributedRank,
) -> tuple[TextBank, StepBatches]:
    """Embed the samples' texts, storing captions in `out`; plan this process's batches."""
    bank, text_rows = build_bank(
        samples,
        text,
        config.templates,
        out,
        centred=config.centred,
        descriptions=read_descriptions(config.descriptions),
    )
    plans = StepPlans(
        samples,
        text_rows,
        config.batch,
        bank_size=len(bank.texts),
        candidates=config.objective.candidates,
        seed=config.seed,
    )
    return bank, StepBatches(plans, config.training_sampling, config.steps, process)


def _loader(batches: StepBatches, steps: range, workers: int) -> DataLoader[Batch]:
    """Load the batches of `steps` in order, ahead of the trainer with `workers` above 0."""
    return DataLoader(
        Subset(batches, steps),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=ignore_sigterm,
    )


def _network_on(device: str, network: Network) -> Network:
    """Move the network to a device, in the memory format that is fastest there."""
    if isinstance(network, FrameNetwork):
        return network.to(device).to(memory_format=torch.channels_last)
    if device.startswith("cuda"):
        # on a CPU it is slower: 10.3 s instead of 8.9 s for two clips forward and backward
        return network.to(device).to(memory_format=torch.channels_last_3d)
    return network.to(device)


def _backward(
    forward: nn.Module, batch: Batch, config: TrainConfig, device: str
) -> dict[str, float]:
    """Accumulate gradients of the batch's mean loss, piece by piece; return the terms' values."""
    candidates = batch.candidates.to(device)
    totals = torch.zeros(1 + len(term_names(config)))
    pieces = list(batch.pieces(config.batch.micro_batch))
    for pixels, rows in pieces:
        is_last = rows is pieces[-1][1]
        ddp = None if is_last or not isinstance(forward, DistributedDataParallel) else forward
        with ddp.no_sync() if ddp else nullcontext():
            losses = forward([each.to(device) for each in pixels], rows.to(device), candidates)
            share = len(rows) / len(batch.target_rows)
            (losses[0] * share).backward()
        totals += share * torch.stack([loss.detach().cpu() for loss in losses])
    return dict(zip(["loss", *term_names(config)], totals.tolist(), strict=True))


@torch.no_grad()
def _average(state: TrainState, config: TrainConfig, step: int) -> None:
    """Move the averaged weights towards the live ones; copy them while the head trains alone."""
    decay = config.optimiser.ema_decay if step >= config.optimiser.head_steps else 0.0
    live = state.network.state_dict()
    for name, value in state.averaged.state_dict().items():
        if value.is_floating_point():
            value.lerp_(live[name], 1.0 - decay)
        else:
            value.copy_(live[name])
