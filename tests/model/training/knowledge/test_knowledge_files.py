"""The knowledge as text: complete, readable, and refused with the line that is wrong."""

from pathlib import Path

import pytest

from model.training.knowledge.knowledge_files import read_actions, read_classes


def test_every_class_has_phrases_and_no_action_is_listed_twice() -> None:
    classes = read_classes()
    assert len(classes) == 1000
    assert all(each.phrases for each in classes)
    assert len(set(read_actions())) >= 1000


def test_phrases_are_divided_by_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "classes.tsv"
    path.write_text("0\ttench\tcatching a fish; gutting a fish;\n1\tgoldfish\tfish swimming\n")
    tench, goldfish = read_classes(path)
    assert tench.phrases == ("catching a fish", "gutting a fish")
    assert goldfish.name == "goldfish"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0\ttench\ta fish\n2\tgoldfish\tfish\n", "line 2"),
        ("0\ttench\n", "line 1"),
        ("0\ttench\t;\n", "tench has no phrase"),
    ],
)
def test_a_wrong_line_of_classes_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "classes.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=expected):
        read_classes(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("walking\tgoing\n", "line 1"), ("a\tb\tc\td\te\na\tb\tc\td\te\n", "twice")],
)
def test_a_wrong_line_of_actions_is_named(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "actions.tsv"
    path.write_text(text)
    with pytest.raises(ValueError, match=expected):
        read_actions(path)
