"""A process that works on a label store.

Run as `python -m tests.support.store_process URL JOB ...`.

Says each thing that it has been promised on a line of its own, so that the test that started it
knows what must still be there after a kill.
"""

import sys
from itertools import count

from app.store import DEFAULT_SET, LabelStore, NewLabel
from model import Label
from tests.support.word_vectors import WordSource


def say(line: str) -> None:
    print(line, flush=True)


def open_only(store: LabelStore, source: WordSource) -> None:
    """Says how many labels this process had to embed, and what it finds."""
    snapshot = store.snapshot(DEFAULT_SET)
    say(f"{len(source.embedded)} {snapshot.revision} {len(snapshot.index)}")


def put(store: LabelStore, prefix: str, first: int, stop: int | None = None) -> None:
    """Puts one label after another; each revision and name is said once it is acknowledged."""
    for number in count(first) if stop is None else range(first, stop):
        name = f"{prefix} {number}"
        written = store.upsert(DEFAULT_SET, [NewLabel(Label(name))])
        found = name in store.snapshot(DEFAULT_SET).index.names
        say(f"{written.state.revision} {found} {name}")


def main() -> None:
    """Does the job that the arguments name."""
    url, job, *arguments = sys.argv[1:]
    source = WordSource()
    store = LabelStore.open(url, source, first_labels=["juggling", "riding a horse"])
    if job == "open":
        open_only(store, source)
    else:
        prefix, *numbers = arguments
        put(store, prefix, *(int(number) for number in numbers))
    store.close()


if __name__ == "__main__":
    main()
