"""Fetch models from the Hugging Face Hub into its cache, from which they load without network."""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.errors import CheckpointError

Say = Callable[[str], None]

# Between two sentences about a download that is under way.
_SECONDS_BETWEEN = 5.0
_MEGABYTE = 1_000_000


def find_folder(name_or_path: str, files: Sequence[str], say: Say | None = None) -> Path:
    """Return a model's folder: the path itself, or the cached copy of a repository on the Hub.

    A repository is `org/name`, or `org/name@revision` with a branch, tag or commit. `files` are
    patterns of the files to fetch. `say` receives a sentence every few seconds of a download, and
    one at its end; by default a terminal shows a progress bar. Where the Hub cannot be reached, the
    cached copy is returned. Raises CheckpointError, whose text says what to do.
    """
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    if name_or_path.startswith((".", "/", "~")):
        raise CheckpointError(f"{name_or_path} is not a directory")
    name, _, revision = name_or_path.partition("@")
    if name.count("/") != 1:
        raise CheckpointError(
            f"{name_or_path} is not a directory, and not the id of a model on the Hub, which is "
            "org/name or org/name@revision"
        )
    # Only a Hub id needs the Hub's client.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    report = None if say is None else _Report(name_or_path, say)
    try:
        folder = Path(
            snapshot_download(
                name,
                revision=revision or None,
                allow_patterns=list(files),
                tqdm_class=None if report is None else _bar_that_reports(report),
            )
        )
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name_or_path} is not in the cache of models, and the Hub cannot be reached (no "
            "network, or HF_HUB_OFFLINE is set). Fetch it once where there is network, or give a "
            "local folder"
        ) from error
    except GatedRepoError as error:
        raise CheckpointError(
            f"{name_or_path} is gated: accept its terms on the Hub and set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{name} has no revision {revision} on the Hub") from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"there is no model {name} on the Hub, or it is private and HF_TOKEN is not set"
        ) from error
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{name_or_path} cannot be fetched from the Hub: {reason}") from error

    if report is not None:
        report.end()
    return folder


class _Report:
    """Says how much of a model was fetched: every few seconds, and once at the end."""

    def __init__(self, name: str, say: Say) -> None:
        self._name = name
        self._say = say
        self._next = time.monotonic() + _SECONDS_BETWEEN
        self._bytes = (0.0, 0.0)

    def add(self, fetched: float, total: float) -> None:
        # the total grows as each file's download begins: being equal to it does not mean the end
        self._bytes = fetched, total
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN
            self._say_bytes()

    def end(self) -> None:
        # no file has a size where all were in the cache
        if self._bytes[1]:
            self._say_bytes()

    def _say_bytes(self) -> None:
        fetched, total = (each / _MEGABYTE for each in self._bytes)
        self._say(f"fetching {self._name}: {fetched:.0f} of {total:.0f} MB")


def _bar_that_reports(report: _Report) -> Any:
    """Make a progress bar class for the Hub's client that shows nothing itself."""
    from huggingface_hub.utils.tqdm import tqdm

    bar: Any = tqdm

    class Reporting(bar):  # type: ignore[misc]  # the bar has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # one bar of several counts the bytes on disk
            self._counts = kwargs.get("name") == "huggingface_hub.snapshot_download"
            super().__init__(*args, **kwargs | {"disable": False, "file": io.StringIO()})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if self._counts:
                report.add(self.n, self.total or 0)

    return Reporting
