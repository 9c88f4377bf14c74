"""What the doctor found: values, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    `ok` works, a `note` may be wanted and is not there, a `problem` keeps the service from starting
    or from answering. `remedy` is a command or what else to do, empty where nothing is.
    """

    subject: str
    state: State
    text: str
    remedy: str = ""


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as lines of text, each remedy below its finding."""
    width = max(len(found.subject) for found in findings)
    lines = []
    for found in findings:
        lines.append(f"{found.state:8} {found.subject:{width}}  {found.text}")
        if found.remedy:
            lines.append(f"{'':8} {'':{width}}  -> {found.remedy}")
    return "\n".join(lines)


def verdict(findings: Sequence[Finding]) -> str:
    """Return the last line: whether the service can run."""
    problems = [found.subject for found in findings if found.state == "problem"]
    if problems:
        return f"Kinolex cannot serve here: {', '.join(problems)}"
    return "Kinolex can serve here."
