"""Is the data path what training waits for? The trainer against bare forward and backward.

    python -m benchmarks.training_throughput [--preset small] [--data MANIFEST.csv ...]

Each round trains for some steps with `model.training.train`, as `kinolex train` does (reading,
decoding, augmenting, optimiser, averaging, log), then runs forward and backward of the same network
and loss on the very batches of these steps, which are in memory by then. Rounds take turns, so
that other work on the machine hits both alike. The last line is JSON; `ratio` is the median over
rounds of clips/s of the trainer over clips/s of the bare network, to be at least 0.9. `cpu_ratio`
compares processor time per clip instead, that of the reading processes and of the trainer
together: what `ratio` would be on a machine without an idle core, and steady on a busy one.

The run is the preset's without its head-only steps, and without distillation: a second network is
part of the objective, not of the data path (`--with-teacher` leaves it on, for the trainer alone).
Without `--data` it reads the pictures and clips in ../shared/data, and if there are none, pictures
that it makes. Words are arbitrary: no text model takes part.
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

from model.training.batches import Batch, StepBatches
from model.training.config import TrainConfig, read_preset
from model.training.initial import initial_network
from model.training.manifest import Sample, read_manifest
from model.training.networks import ArbitraryWords
from model.training.schedule import freeze
from model.training.texts import build_bank
from model.training.train import Task, train

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
GOAL = 0.9
WARM_UP = 10  # steps: the trainer's first progress line comes after so many
PICTURES = 512


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        samples = _samples(asked.data, Path(folder))
        config = _config(asked.preset, WARM_UP + asked.steps)
        trained = config
        if asked.with_teacher:
            weight = read_preset(asked.preset).objective.distillation
            trained = replace(config, objective=replace(config.objective, distillation=weight))
        bare = _Bare(config, samples, Path(folder))
        trainers: list[Speed] = []
        bares: list[Speed] = []
        for number in range(asked.rounds):
            out = Path(folder) / f"run{number}"
            trainers.append(_trainer(trained, samples, out, asked.workers, bare))
            bares.append(bare.speed())
            print(f"trainer {trainers[-1]}, bare {bares[-1]}", flush=True)
    pairs = list(zip(trainers, bares, strict=True))
    ratio = statistics.median(
        trainer.clips_per_second / bare.clips_per_second for trainer, bare in pairs
    )
    cpu_ratio = statistics.median(
        bare.cpu_seconds_per_clip / trainer.cpu_seconds_per_clip for trainer, bare in pairs
    )
    print(
        json.dumps(
            {
                "benchmark": "training_throughput",
                "preset": asked.preset,
                "with_teacher": asked.with_teacher,
                "samples": len(samples),
                "steps": asked.steps,
                "threads": torch.get_num_threads(),
                "workers": asked.workers,
                "trainer_clips_per_second": _median_speed(trainers),
                "bare_clips_per_second": _median_speed(bares),
                "ratio": round(ratio, 3),
                "cpu_ratio": round(cpu_ratio, 3),
                "goal": GOAL,
                "met": ratio >= GOAL,
            }
        )
    )


@dataclass(frozen=True, slots=True)
class Speed:
    """Clips per second on the clock, and processor seconds for each clip."""

    clips_per_second: float
    cpu_seconds_per_clip: float

    def __str__(self) -> str:
        return f"{self.clips_per_second:.2f} clips/s, {self.cpu_seconds_per_clip:.4f} CPU s/clip"


def _median_speed(speeds: Sequence[Speed]) -> float:
    return round(statistics.median(speed.clips_per_second for speed in speeds), 2)


class _Bare:
    """Forward and backward on the batches that the trainer takes after its warm-up."""

    def __init__(self, config: TrainConfig, samples: Sequence[Sample], folder: Path) -> None:
        text = ArbitraryWords(config.dim)
        bank, rows = build_bank(samples, text, config.templates, folder)
        batches = StepBatches(
            samples,
            rows,
            len(bank.texts),
            config.batch,
            config.training_sampling,
            candidates=config.objective.candidates,
            steps=config.steps,
            seed=config.seed,
        )
        network = initial_network(config, text, bank.mean)
        network = network.to(memory_format=torch.channels_last)
        freeze(network, config.optimiser)
        self._task = Task(network, copy.deepcopy(network), bank.vectors, config)
        self._micro_batch = config.batch.micro_batch
        self._batches = [batches[step] for step in range(WARM_UP, config.steps)]
        self.clips = sum(len(batch.pixels) for batch in self._batches)
        self.clips_read = self.clips + sum(
            len(batches.plan(step).samples) for step in range(WARM_UP)
        )
        self._pass(self._batches[0])

    def speed(self) -> Speed:
        """Once over all batches."""
        start, cpu = time.perf_counter(), time.process_time()
        for batch in self._batches:
            self._pass(batch)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return Speed(self.clips / seconds, cpu / self.clips)

    def _pass(self, batch: Batch) -> None:
        size = self._micro_batch or len(batch.pixels)
        for start in range(0, len(batch.pixels), size):
            piece = slice(start, start + size)
            losses = self._task(batch.pixels[piece], batch.target_rows[piece], batch.candidates)
            losses[0].backward()
        self._task.zero_grad(set_to_none=True)


def _trainer(
    config: TrainConfig, samples: Sequence[Sample], out: Path, workers: int, bare: _Bare
) -> Speed:
    """A run after its warm-up, the saving of its state at the end left out."""
    lines: list[tuple[float, float]] = []
    before = _children_cpu()
    train(
        config,
        samples,
        ArbitraryWords(config.dim),
        out,
        workers=workers,
        say=lambda _: lines.append((time.perf_counter(), time.process_time())),
    )
    seconds, own_cpu = np.subtract(lines[-1], lines[0])
    reading = (_children_cpu() - before) / bare.clips_read
    return Speed(float(bare.clips / seconds), float(own_cpu / bare.clips) + reading)


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
    shared = [SHARED / part / "manifest.csv" for part in ("pictures", "videos")]
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
    parser.add_argument("--steps", type=int, default=14, help="measured, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes that read ahead")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 leaves it to torch")
    parser.add_argument("--with-teacher", action="store_true")
    return parser.parse_args()


class _AsWritten(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


if __name__ == "__main__":
    main()
