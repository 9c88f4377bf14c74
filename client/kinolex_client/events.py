"""Reads Server-Sent Events (HTML standard, section 9.2) from the bytes of an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, and its data."""

    name: str
    data: str


class EventParser:
    """Turns pieces of a stream, cut anywhere, into events; comments are left out."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """Return the events that end in this piece."""
        # not str.splitlines: it would cut data at line separators of Unicode
        *lines, self._rest = (self._rest + piece).split(b"\n")
        events = []
        for line in lines:
            name, _, value = line.rstrip(b"\r").decode().partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._name = value
            elif name == "data":
                self._data.append(value)
            elif not name and not value and self._data:
                events.append(Event(self._name, "\n".join(self._data)))
                self._name, self._data = "", []
        return events
