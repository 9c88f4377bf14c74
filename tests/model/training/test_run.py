"""A run can be interrupted and continued, distributed over processes, and learns its samples."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.training.config import BatchConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from model.training.data.manifest import Sample, read_manifest
from model.training.resources import TrainingResources
from model.training.train import Trained, train
from tests.model.training.data.test_batches import batches
from tests.support.paths import ROOT
from tests.support.training_tree import DIM, NAMES, tiny_config, write_clips, write_pictures
from tests.support.word_vectors import WordVectors

STATE = "state.safetensors"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    write_pictures(folder / "pictures")
    write_clips(folder / "clips")
    return folder


def samples_of(tree: Path, *parts: str) -> list[Sample]:
    return [s for part in parts for s in read_manifest(tree / part / "manifest.csv")]


def run(
    config: TrainConfig, samples: list[Sample], out: Path, *, max_minutes: float = float("inf")
) -> Trained:
    resources = TrainingResources(max_minutes=max_minutes, log=lambda _: None)
    return train(config, samples, WordVectors(DIM), out, resources)


def program(
    *launcher: str, tree: Path, out: Path, steps: int, pause: str = ""
) -> subprocess.Popen[str]:
    arguments = [sys.executable, *launcher, "-m", "tests.support.training_process"]
    return subprocess.Popen(
        [*arguments, str(tree), str(out), str(steps), pause],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors


def steps_done(out: Path) -> int:
    with (out / STATE).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return int(header["__metadata__"]["step"])


@pytest.fixture(scope="module")
def whole_run(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of 24 steps that was never interrupted."""
    out = tmp_path_factory.mktemp("whole")
    finish(program(tree=tree, out=out, steps=24))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("whole_group", [False, True], ids=["process", "group"])
def test_a_terminated_run_continues_to_the_same_weights_bit_for_bit(
    tree: Path, whole_run: Path, tmp_path: Path, whole_group: bool
) -> None:
    """SIGTERM to the process, or to its data workers, too, as service managers send it."""
    interrupted = program(tree=tree, out=tmp_path / "parts", steps=24, pause="10")
    assert interrupted.stdout is not None
    assert interrupted.stdin is not None
    line = interrupted.stdout.readline()
    assert line.startswith("step 10/24")
    if whole_group:
        os.killpg(interrupted.pid, signal.SIGTERM)
    else:
        interrupted.terminate()
    # the run waits after step 10, so that it cannot end before the signal
    interrupted.stdin.write("\n")
    interrupted.stdin.flush()
    finish(interrupted)
    assert 10 <= steps_done(tmp_path / "parts") < 24
    finish(program(tree=tree, out=tmp_path / "parts", steps=24))

    whole, parts = (load_file(out / STATE) for out in (whole_run, tmp_path / "parts"))
    assert steps_done(tmp_path / "parts") == steps_done(whole_run) == 24
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_an_optimisers_moments_are_kept_over_a_stop(tree: Path, tmp_path: Path, name: str) -> None:
    samples = samples_of(tree, "pictures")
    optimiser = OptimiserConfig(name=name, backbone_rate=1e-3, head_rate=1e-3, ema_decay=0.5)  # type: ignore[arg-type]  # parametrized
    config = tiny_config(steps=4, save_every=100, optimiser=optimiser)

    run(config, samples, tmp_path / "whole")
    for _ in range(4):
        run(config, samples, tmp_path / "parts", max_minutes=0.0)

    whole, parts = (load_file(tmp_path / folder / STATE) for folder in ("whole", "parts"))
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_a_time_limit_stops_after_a_step_and_saves_it(tree: Path, tmp_path: Path) -> None:
    trained = run(tiny_config(), samples_of(tree, "pictures"), tmp_path, max_minutes=0.0)

    assert trained.steps == steps_done(tmp_path) == 1


def test_a_run_does_not_continue_with_another_configuration(tree: Path, tmp_path: Path) -> None:
    samples = samples_of(tree, "pictures")
    run(tiny_config(steps=1), samples, tmp_path)

    with pytest.raises(ValueError, match="another configuration"):
        run(tiny_config(steps=1, seed=1), samples, tmp_path)


def test_a_run_does_not_continue_with_other_data(tree: Path, tmp_path: Path) -> None:
    samples = samples_of(tree, "pictures")
    run(tiny_config(steps=2), samples, tmp_path, max_minutes=0.0)

    with pytest.raises(ValueError, match="other data"):
        run(tiny_config(steps=2), samples[:-1], tmp_path)


def test_a_state_saved_before_an_option_existed_counts_it_as_left_at_its_default(
    tree: Path, tmp_path: Path
) -> None:
    samples, config = samples_of(tree, "pictures"), tiny_config(steps=2)
    run(config, samples, tmp_path, max_minutes=0.0)
    raw = (tmp_path / STATE).read_bytes()
    older = raw.replace(
        b', \\"precision\\": \\"fp32\\"', b"".ljust(len(b', \\"precision\\": \\"fp32\\"'))
    )
    assert older != raw
    (tmp_path / STATE).write_bytes(older)

    assert run(config, samples, tmp_path).steps == 2
    (tmp_path / STATE).write_bytes(older)
    with pytest.raises(ValueError, match="another configuration"):
        run(replace(config, precision="bf16"), samples, tmp_path)


@pytest.mark.slow
def test_two_processes_reach_the_weights_of_one(tree: Path, tmp_path: Path) -> None:
    """The same global batch: equal but for the order in which floats are added."""
    finish(program(tree=tree, out=tmp_path / "one", steps=12))
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    finish(program(*launcher, tree=tree, out=tmp_path / "two", steps=12))

    one, two = (load_file(tmp_path / name / STATE) for name in ("one", "two"))
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5, msg=name)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [[entry["step"] for entry in log] for log in logs] == [[10, 12], [10, 12]]
    for alone, shared in zip(*logs, strict=True):
        assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-4)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(tree: Path) -> None:
    with pytest.raises(ValueError, match="3 processes cannot share 8"):
        batches(samples_of(tree, "pictures"), world_size=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "untrained"),
    [(ObjectiveConfig(mse=DIM / 2), 1.0), (ObjectiveConfig(cross_entropy=1.0), math.log(4))],
    ids=["mse", "cross-entropy"],
)
def test_one_batch_can_be_overfitted(
    tree: Path, tmp_path: Path, objective: ObjectiveConfig, untrained: float
) -> None:
    samples = samples_of(tree, "pictures")[: len(NAMES)]
    batch = BatchConfig(short_side=32, side=32, pictures=8, temper=1.0, epoch_samples=4)
    optimiser = OptimiserConfig(
        name="adam", backbone_rate=1e-3, head_rate=1e-2, freeze_statistics=False
    )
    config = tiny_config(steps=40, batch=batch, objective=objective, optimiser=optimiser)

    run(config, samples, tmp_path)

    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.1 * untrained


def test_pieces_of_a_batch_give_the_whole_batchs_step(tree: Path, tmp_path: Path) -> None:
    samples = samples_of(tree, "pictures", "clips")
    config = tiny_config(steps=2, optimiser=OptimiserConfig(name="sgd", head_rate=0.05))
    run(config, samples, tmp_path / "whole")
    run(replace(config, batch=replace(config.batch, micro_batch=3)), samples, tmp_path / "pieces")

    whole, pieces = (load_file(tmp_path / name / STATE) for name in ("whole", "pieces"))
    for name in whole:
        torch.testing.assert_close(pieces[name], whole[name], rtol=1e-4, atol=1e-5, msg=name)


def test_frozen_blocks_keep_their_weights(tree: Path, tmp_path: Path) -> None:
    samples = samples_of(tree, "pictures")
    optimiser = OptimiserConfig(backbone_rate=1e-2, head_rate=1e-2, frozen_blocks=3)
    first = run(tiny_config(steps=1, optimiser=optimiser), samples, tmp_path / "a")
    later = run(tiny_config(steps=4, optimiser=optimiser), samples, tmp_path / "b")

    before, after = first.network.state_dict(), later.network.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = ("backbone.stem.", "backbone.blocks.0.", "backbone.blocks.1.", "backbone.blocks.2.")
    assert not [name for name in moved if name.startswith(frozen)]
    assert [name for name in moved if name.startswith("backbone.blocks.3.")]


def test_bf16_trains_and_keeps_fp32_weights(tree: Path, tmp_path: Path) -> None:
    trained = run(tiny_config(steps=2, precision="bf16"), samples_of(tree, "pictures"), tmp_path)

    weights = trained.network.state_dict().values()
    assert {w.dtype for w in weights if w.is_floating_point()} == {torch.float32}


def test_threads_other_than_the_main_one_can_train(tree: Path, tmp_path: Path) -> None:
    """Only the main thread may handle SIGTERM; runs in other threads must not fail."""
    done: list[int] = []
    samples = samples_of(tree, "pictures")
    thread = threading.Thread(
        target=lambda: done.append(run(tiny_config(steps=1), samples, tmp_path).steps)
    )
    thread.start()
    thread.join()

    assert done == [1]


def test_tensorboard_gets_the_values_of_the_log(tree: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")

    train(
        tiny_config(steps=1),
        samples_of(tree, "pictures"),
        WordVectors(DIM),
        tmp_path,
        TrainingResources(tensorboard=True, log=lambda _: None),
    )

    (events,) = tmp_path.glob("events.out.tfevents.*")
    assert b"train/cross_entropy" in events.read_bytes()


def test_a_contrastive_batch_comes_in_one_piece(tree: Path, tmp_path: Path) -> None:
    config = tiny_config(steps=1, objective=ObjectiveConfig(contrastive=1.0))
    split = replace(config, batch=replace(config.batch, micro_batch=4))

    assert run(config, samples_of(tree, "pictures"), tmp_path / "whole").steps == 1
    with pytest.raises(ValueError, match="comes in one piece"):
        run(split, samples_of(tree, "pictures"), tmp_path / "split")


def test_a_run_restores_the_handler_of_sigterm(tree: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)

    run(tiny_config(steps=1), samples_of(tree, "pictures"), tmp_path)

    assert signal.getsignal(signal.SIGTERM) is before
