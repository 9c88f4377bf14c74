"""What a server has said of each label, and what a later one may hold after a kill."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Labels' thresholds by name; None for a label that is not there.
Values = Mapping[str, float | None]


@dataclass
class History:
    """The acknowledged values of all labels, and the one write that has no answer yet."""

    settled: dict[str, float | None] = field(default_factory=dict)
    unsure: dict[str, float | None] = field(default_factory=dict)

    def begin(self, write: Values) -> None:
        """These values were sent in one request."""
        self.unsure = dict(write)

    def end(self) -> None:
        """They were acknowledged."""
        self.settled |= self.unsure
        self.unsure = {}

    def present(self) -> list[str]:
        """The acknowledged labels that are there."""
        return [name for name, value in self.settled.items() if value is not None]

    def resume(self, stored: Values) -> set[str]:
        """Goes on from what a server holds after a kill; answers with the names that are wrong.

        Wrong is what was acknowledged and is otherwise, what nobody wrote, and a request without an
        answer of which only a part is there.
        """
        before = {name: self.settled.get(name) for name in self.unsure}
        held = {name: stored.get(name) for name in self.unsure}
        torn = set() if held in (self.unsure, before) else set(held)
        self.settled |= held
        self.unsure = {}
        expected = {name: self.settled[name] for name in self.present()}
        otherwise = {name for name, _ in expected.items() ^ dict(stored).items()}
        # told once: the next server is expected to hold what this one does
        self.settled |= {name: stored.get(name) for name in otherwise}
        return torn | otherwise
