"""Read the texts of the knowledge: phrases of classes, and everyday actions.

    classes.tsv   number, name and phrases of each of ImageNet's classes: what people do in a video
                  whose frames look like that class, most probable first
    actions.tsv   everyday actions with synonyms, visible objects, places, and posture or motion

Columns are divided by tabs, several texts in a column by semicolons.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
CLASSES_FILE, ACTIONS_FILE = "classes.tsv", "actions.tsv"
_ACTION_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class ClassPhrases:
    """A class of the word head and its phrases, at least one."""

    name: str
    phrases: tuple[str, ...]


def read_classes(path: Path = FOLDER / CLASSES_FILE) -> tuple[ClassPhrases, ...]:
    """Read all classes in the order of their numbers, which must be 0, 1, 2 ...

    Raises ValueError that names the first wrong line.
    """
    classes = []
    for position, cells in enumerate(_rows(path)):
        if len(cells) != 3 or cells[0] != str(position):
            raise ValueError(f"{path.name}, line {position + 1}: needs {position}, name, phrases")
        phrases = _texts(cells[2])
        if not phrases:
            raise ValueError(f"{path.name}, line {position + 1}: {cells[1]} has no phrase")
        classes.append(ClassPhrases(cells[1], phrases))
    return tuple(classes)


def read_actions(path: Path = FOLDER / ACTIONS_FILE) -> tuple[str, ...]:
    """Read the names of all everyday actions. Raises ValueError that names the first wrong line."""
    names = []
    for position, cells in enumerate(_rows(path)):
        if len(cells) != _ACTION_COLUMNS or not cells[0]:
            raise ValueError(
                f"{path.name}, line {position + 1}: needs {_ACTION_COLUMNS} columns, "
                f"found {len(cells)}"
            )
        names.append(cells[0])
    if len(set(names)) < len(names):
        raise ValueError(f"{path.name} has an action twice")
    return tuple(names)


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.split("\t")] for line in lines if line.strip()]


def _texts(cell: str) -> tuple[str, ...]:
    return tuple(text for part in cell.split(";") if (text := part.strip()))
