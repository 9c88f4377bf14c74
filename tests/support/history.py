"""What clients saw of things that come and go (labels, kept videos), and whether it can be true."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Change:
    """A write, and whether the thing exists after it.

    `answered` is infinite where no answer came: the write may have happened or not.
    """

    name: str
    exists: bool
    sent: float
    answered: float


@dataclass(frozen=True, slots=True)
class Look:
    """An answer that says which things exist; of `asked` only, unless it is None."""

    names: frozenset[str]
    sent: float
    answered: float
    asked: frozenset[str] | None = None

    def tells_of(self, name: str) -> bool:
        return self.asked is None or name in self.asked


class Floor:
    """The greatest number that was seen before a moment; later calls have later moments."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []
        self._greatest = 0

    def add(self, seen: float, number: int) -> None:
        heappush(self._seen, (seen, number))

    def before(self, moment: float) -> int:
        while self._seen and self._seen[0][0] < moment:
            self._greatest = max(self._greatest, heappop(self._seen)[1])
        return self._greatest


@dataclass
class History:
    """Changes and looks of all clients, in no order; each thing has one writer."""

    changes: list[Change] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def check(self) -> None:
        """Assert that each thing's changes and looks fit one order that follows real time.

        So no acknowledged change is lost, none that was undone comes back, and once a change was
        seen, no later look is without it.
        """
        names = {change.name for change in self.changes}
        for name in names:
            changes = sorted(
                (each for each in self.changes if each.name == name), key=lambda each: each.sent
            )
            looks = (each for each in self.looks if each.tells_of(name))
            _check_one(name, changes, sorted(looks, key=lambda each: each.sent))


def _check_one(name: str, changes: Sequence[Change], looks: Sequence[Look]) -> None:
    for change, later in pairwise(changes):
        assert change.answered < later.sent, f"{name} has two writers"
    exists = [False, *(change.exists for change in changes)]
    # how many changes a look has seen at least
    floor = Floor()
    for look in looks:
        answered = [at for at, each in enumerate(changes, 1) if each.answered < look.sent]
        sent = [at for at, each in enumerate(changes, 1) if each.sent < look.answered]
        lowest = max([floor.before(look.sent), *answered])
        highest = max([0, *sent])
        fitting = [at for at in range(lowest, highest + 1) if exists[at] == (name in look.names)]
        assert fitting, f"{name} in {look}, after {changes[:lowest]}, before {changes[highest:]}"
        floor.add(look.answered, fitting[0])
