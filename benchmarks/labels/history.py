"""Record of label writes, to check what a server holds after a kill."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Thresholds by label name; None for a label that does not exist.
Values = Mapping[str, float | None]


@dataclass
class History:
    """Acknowledged values of all labels, and the write that is not acknowledged yet."""

    settled: dict[str, float | None] = field(default_factory=dict)
    unsure: dict[str, float | None] = field(default_factory=dict)

    def begin(self, write: Values) -> None:
        """Record that these values are sent in one request."""
        self.unsure = dict(write)

    def end(self) -> None:
        """Record that the request was acknowledged."""
        self.settled |= self.unsure
        self.unsure = {}

    def present(self) -> list[str]:
        """Names of the acknowledged labels that exist."""
        return [name for name, value in self.settled.items() if value is not None]

    def resume(self, stored: Values) -> set[str]:
        """Continue with what a server holds after a kill; returns the names that are wrong.

        Wrong are labels that differ from what was acknowledged, labels that were never written,
        and all labels of an unacknowledged request that was stored only in part.
        """
        before = {name: self.settled.get(name) for name in self.unsure}
        held = {name: stored.get(name) for name in self.unsure}
        torn = set() if held in (self.unsure, before) else set(held)
        self.settled |= held
        self.unsure = {}
        expected = {name: self.settled[name] for name in self.present()}
        different = {name for name, _ in expected.items() ^ dict(stored).items()}
        # reported once: the next server is expected to hold what this one does
        self.settled |= {name: stored.get(name) for name in different}
        return torn | different
