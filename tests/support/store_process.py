"""A process that uses a label store.

Run as `python -m tests.support.store_process URL JOB ...`.

Prints a line for each acknowledged write, so that the test knows what must be stored after a kill.
"""

import sys
from itertools import count

from app.store import DEFAULT_SET, LabelStore, NewLabel
from model import Label
from tests.support.word_vectors import WordSource


def print_line(line: str) -> None:
    print(line, flush=True)


def open_only(store: LabelStore, source: WordSource) -> None:
    """Prints the number of labels that this process embedded, the revision and the size."""
    snapshot = store.snapshot(DEFAULT_SET)
    print_line(f"{len(source.embedded)} {snapshot.revision} {len(snapshot.index)}")


def put(store: LabelStore, prefix: str, first: int, stop: int | None = None) -> None:
    """Puts labels one by one; prints each revision and name after the acknowledgement."""
    for number in count(first) if stop is None else range(first, stop):
        name = f"{prefix} {number}"
        written = store.upsert(DEFAULT_SET, [NewLabel(Label(name))])
        found = name in store.snapshot(DEFAULT_SET).index.names
        print_line(f"{written.state.revision} {found} {name}")


def main() -> None:
    """Runs the job that the arguments name."""
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
