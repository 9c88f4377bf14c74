"""Which runs made a checkpoint: a run that starts from another one's checkpoint goes on with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.checkpoint import is_checkpoint, read_config

Provenance = Mapping[str, Any]

BEFORE = "before"


def provenance_before(init: str) -> Provenance:
    """What a run that starts from `init` says about what was before it; empty for mere weights.

    Figures are left out: they are of weights that were left behind. Raises CheckpointError.
    """
    if not is_checkpoint(Path(init)):
        return {}
    known = read_config(Path(init)).provenance
    return {BEFORE: {name: value for name, value in known.items() if name != "figures"}}


def first_run(provenance: Provenance) -> Provenance:
    """The run that began what this one goes on with, its own where there is none before it.

    Only runs that kept the same classes apart are followed: an earlier one with another split may
    have seen them, so that what this run starts from is to be named.
    """
    run = _run_of(provenance)
    before = provenance.get(BEFORE)
    if isinstance(before, Mapping) and _run_of(before).get("held_out") == run.get("held_out"):
        return first_run(before)
    return run


def commands_of(provenance: Provenance) -> tuple[str, ...]:
    """The commands that lead to a checkpoint, the first one first."""
    before = provenance.get(BEFORE)
    earlier = commands_of(before) if isinstance(before, Mapping) else ()
    return (*earlier, str(provenance.get("command", "")))


def steps_of(provenance: Provenance) -> tuple[int, ...]:
    """The steps of each run that can be told, the first one first."""
    before = provenance.get(BEFORE)
    earlier = steps_of(before) if isinstance(before, Mapping) else ()
    return (*earlier, int(provenance["steps"])) if "steps" in provenance else earlier


def _run_of(provenance: Provenance) -> Provenance:
    run = provenance.get("run")
    return run if isinstance(run, Mapping) else {}
