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
    patterns of the files to fetch. `say` receives a sentence every few seconds of a download; by
    default a terminal shows a progress bar. Where the Hub cannot be reached, the cached copy is
    returned. Raises CheckpointError, whose text says what to do.
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

    try:
        return Path(
            snapshot_download(
                name,
                revision=revision or None,
                allow_patterns=list(files),
                tqdm_class=None if say is None else _sentences(name_or_path, say),
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


def _sentences(name: str, say: Say) -> Any:
    """Make a progress bar class for the Hub's client that writes sentences."""
    from huggingface_hub.utils.tqdm import tqdm

    bar: Any = tqdm

    class Sentences(bar):  # type: ignore[misc]  # the bar has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # one bar of several counts the bytes on disk
            self._counts = kwargs.get("name") == "huggingface_hub.snapshot_download"
            self._next = time.monotonic() + _SECONDS_BETWEEN
            # what the bar itself writes goes nowhere
            super().__init__(*args, **kwargs | {"disable": False, "file": io.StringIO()})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            done = bool(self.total) and self.n >= self.total
            if not self._counts or not (done or time.monotonic() >= self._next):
                return
            self._counts = not done
            self._next = time.monotonic() + _SECONDS_BETWEEN
            megabytes, total = self.n / _MEGABYTE, (self.total or 0) / _MEGABYTE
            say(f"fetching {name}: {megabytes:.0f} of {total:.0f} MB")

    return Sentences
