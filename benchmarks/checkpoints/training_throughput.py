"""Whether training waits for its data: the trainer compared with bare forward and backward.

    python -m benchmarks.checkpoints.training_throughput [--preset small] [--data MANIFEST.csv ...]

Trains with `model.training.train`, as `kinolex train` does (reading, decoding, augmenting,
optimiser, averaging, log). After every ten steps the run stops, and forward and backward of the
same network and loss are timed on the batches of these steps, which are in memory. The two
alternate, so that other work on the computer slows both down.

The last line is JSON. `ratio` is the median over rounds of clips/s of the trainer over clips/s of
the bare network; its goal is 0.9. `cpu_ratio` compares processor time per clip instead, with that
of the reading processes: what `ratio` would be on a computer without an idle core. It varies less
on a busy computer.

The run is the preset's without its head-only steps, and without distillation: a second network is
part of the objective, not of the data path (`--with-teacher` leaves it on, for the trainer alone).
Without `--data` it reads the pictures and clips in ../shared/data, and if there are none, pictures
that it makes. The vectors of the labels are random: no text model is used.
"""

import argparse
import copy
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.harness.paths import SHARED_DATA
from model.encoder.networks import FrameNetwork
from model.training.compare.trained_networks import ArbitraryWords
from model.training.config import TrainConfig, read_preset
from model.training.data.batches import Batch, StepBatches
from model.training.data.manifest import Sample, read_manifest
from model.training.data.step_plans import StepPlans
from model.training.initial import initial_network
from model.training.objective import TrainingTask
from model.training.resources import TrainingResources
from model.training.schedule import freeze
from model.training.train import train
from model.training.words.text_bank import build_bank

GOAL = 0.9
ROUND = 10  # steps from one of the trainer's progress lines to the next; the first are a warm-up
PICTURES = 512


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock and of this process's processor time, for a number of clips."""

    clock: float
    cpu: float
    clips: int

    @classmethod
    def since(cls, start: tuple[float, float], clips: int) -> "Spent":
        """From `start`, an earlier result of `now`, to now."""
        clock, cpu = now()
        return cls(clock - start[0], cpu - start[1], clips)


def now() -> tuple[float, float]:
    """The clock and this process's processor time, in seconds."""
    return time.perf_counter(), time.process_time()


def main() -> None:
    """Run the command line: measure and print."""
    options = _arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        samples = _samples(options.data, Path(folder))
        config = _config(options.preset, ROUND * (1 + options.rounds))
        bare = Bare(config, samples, Path(folder))
        if options.with_teacher:
            weight = read_preset(options.preset).objective.distillation
            config = replace(config, objective=replace(config.objective, distillation=weight))
        rounds = Rounds(bare)
        before = _children_cpu()
        train(
            config,
            samples,
            ArbitraryWords(config.dim),
            Path(folder) / "run",
            TrainingResources(workers=options.workers, log=rounds.after_a_round),
        )
        reading = (_children_cpu() - before) / bare.clips_of(range(config.steps))
    pairs = list(zip(rounds.trainer, rounds.bare, strict=True))
    ratio = statistics.median(b.clock / t.clock for t, b in pairs)
    cpu_ratio = statistics.median(b.cpu / (t.cpu + reading * t.clips) for t, b in pairs)
    result = {
        "benchmark": "training_throughput",
        "preset": options.preset,
        "with_teacher": options.with_teacher,
        "samples": len(samples),
        "rounds": options.rounds,
        "threads": torch.get_num_threads(),
        "workers": options.workers,
        "trainer_clips_per_second": _rate(rounds.trainer),
        "bare_clips_per_second": _rate(rounds.bare),
        "reading_cpu_ms_per_clip": round(1000 * reading, 2),
        "ratio": round(ratio, 3),
        "cpu_ratio": round(cpu_ratio, 3),
        "goal": GOAL,
        "met": ratio >= GOAL,
    }
    print(json.dumps(result))


class Bare:
    """Forward and backward only, on the trainer's batches."""

    def __init__(self, config: TrainConfig, samples: Sequence[Sample], folder: Path) -> None:
        text = ArbitraryWords(config.dim)
        bank, rows = build_bank(samples, text, config.templates, folder)
        plans = StepPlans(
            samples,
            rows,
            config.batch,
            bank_size=len(bank.texts),
            candidates=config.objective.candidates,
            seed=config.seed,
        )
        self._batches = StepBatches(plans, config.training_sampling, config.steps)
        network = initial_network(config, text, bank.mean)
        if isinstance(network, FrameNetwork):
            network = network.to(memory_format=torch.channels_last)
        freeze(network, config.optimiser)
        self._task = TrainingTask(network, copy.deepcopy(network), bank.vectors, config)
        self._micro_batch = config.batch.micro_batch
        self._pass(self._batches[0])

    def clips_of(self, steps: range) -> int:
        """Number of clips that the trainer uses in these steps."""
        return sum(len(self._batches.plan(step).samples) for step in steps)

    def spend(self, steps: range) -> Spent:
        """Time forward and backward on these steps' batches, which are in memory."""
        batches = [self._batches[step] for step in steps]
        start = now()
        for batch in batches:
            self._pass(batch)
        return Spent.since(start, self.clips_of(steps))

    def _pass(self, batch: Batch) -> None:
        for pixels, rows in batch.pieces(self._micro_batch):
            self._task(pixels, rows, batch.candidates)[0].backward()
        self._task.zero_grad(set_to_none=True)


class Rounds:
    """Times the trainer between its progress lines, and the bare network at each line."""

    def __init__(self, bare: Bare) -> None:
        self.trainer: list[Spent] = []
        self.bare: list[Spent] = []
        self._bare = bare
        self._start: tuple[float, float] | None = None

    def after_a_round(self, _: str) -> None:
        """Record the ten steps of the trainer, then time the bare network on their batches."""
        if self._start is not None:
            first = ROUND * (1 + len(self.trainer))
            steps = range(first, first + ROUND)
            self.trainer.append(Spent.since(self._start, self._bare.clips_of(steps)))
            self.bare.append(self._bare.spend(steps))
            print(f"trainer {self.trainer[-1]}, bare {self.bare[-1]}", flush=True)
        self._start = now()


def _rate(spent: Sequence[Spent]) -> float:
    return round(statistics.median(part.clips / part.clock for part in spent), 2)


def _children_cpu() -> float:
    """Processor seconds of child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _config(preset: str, steps: int) -> TrainConfig:
    config = read_preset(preset)
    return replace(
        config,
        steps=steps,
        save_every=steps,
        objective=replace(config.objective, distillation=0.0),
        optimiser=replace(config.optimiser, head_steps=0),
    )


def _samples(manifests: Sequence[Path], folder: Path) -> list[Sample]:
    shared = [SHARED_DATA / part / "manifest.csv" for part in ("pictures", "videos")]
    found = manifests or [path for path in shared if path.is_file()]
    if found:
        return [sample for path in found for sample in read_manifest(path)]
    rng = np.random.default_rng(0)
    samples = []
    for number in range(PICTURES):
        # grain on top of a blur compresses about as photographs do
        coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((170, 128), Image.Resampling.BICUBIC), np.int16)
        grain = rng.normal(0, 8, smooth.shape).astype(np.int16)
        path = folder / f"{number}.jpg"
        Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(path, quality=90)
        samples.append(Sample(path, "", f"pattern {number % 32}", (), "made", ""))
    return samples


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--data", type=Path, action="append", default=[], help="manifest")
    parser.add_argument("--rounds", type=int, default=3, help="of ten steps")
    parser.add_argument("--workers", type=int, default=1, help="processes that read ahead")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves it to torch")
    parser.add_argument("--with-teacher", action="store_true")
    return parser.parse_args()


class _AsWritten(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


if __name__ == "__main__":
    main()
