"""The runs that led to a checkpoint: a run may start from the checkpoint of an earlier one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.checkpoint import is_checkpoint, read_config

Provenance = Mapping[str, Any]

BEFORE = "before"


def provenance_before(init: str) -> Provenance:
    """Return the provenance of the checkpoint `init` for a new run's; empty for other weights.

    Figures are left out, because they hold for the earlier weights. Raises CheckpointError.
    """
    if not is_checkpoint(Path(init)):
        return {}
    known = read_config(Path(init)).provenance
    return {BEFORE: {name: value for name, value in known.items() if name != "figures"}}


def first_run(provenance: Provenance) -> Provenance:
    """Return the configuration of the first run in the chain that led to this checkpoint.

    The chain ends at a run with another split: it may have seen the classes held out here, so that
    the run that started from it counts as the first.
    """
    run = _run_of(provenance)
    before = provenance.get(BEFORE)
    if isinstance(before, Mapping) and _run_of(before).get("held_out") == run.get("held_out"):
        return first_run(before)
    return run


def commands_of(provenance: Provenance) -> tuple[str, ...]:
    """List the commands that led to a checkpoint, earliest first."""
    before = provenance.get(BEFORE)
    earlier = commands_of(before) if isinstance(before, Mapping) else ()
    return (*earlier, str(provenance.get("command", "")))


def steps_of(provenance: Provenance) -> tuple[int, ...]:
    """List the number of steps of each run that recorded it, earliest first."""
    before = provenance.get(BEFORE)
    earlier = steps_of(before) if isinstance(before, Mapping) else ()
    return (*earlier, int(provenance["steps"])) if "steps" in provenance else earlier


def _run_of(provenance: Provenance) -> Provenance:
    run = provenance.get("run")
    return run if isinstance(run, Mapping) else {}
