"""Label files: written labels are read back, and faults have a label and a line number."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.errors import InvalidParameter
from app.labels.fields import LabelFields
from app.labels.files import read_labels, write_labels
from app.labels.formats import FileFormat
from app.store import NewLabel
from model import Label


def read(text: str, file_format: FileFormat) -> list[NewLabel]:
    lines = io.StringIO(text, newline="")
    return [fields.new_label() for fields in read_labels(lines, file_format)]


def faults(text: str, file_format: FileFormat) -> list[tuple[str, str]]:
    with pytest.raises(InvalidParameter) as caught:
        read(text, file_format)
    return [(fault.pointer, fault.detail.partition(":")[0]) for fault in caught.value.faults]


def _is_allowed(text: str) -> bool:
    try:
        LabelFields(name=text)
    except ValidationError:
        return False
    return True


CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"])
TEXTS = (
    st.text(CHARACTERS, min_size=1, max_size=12)
    .filter(_is_allowed)
    .map(lambda text: LabelFields(name=text).name)
)
LABELS = st.builds(
    LabelFields,
    name=TEXTS,
    prompts=st.lists(TEXTS, max_size=3, unique=True),
    aliases=st.lists(TEXTS, max_size=3, unique=True),
    description=st.none() | TEXTS,
    language=st.none() | st.just("pt-BR"),
    threshold=st.none() | st.floats(0, 1),
    enabled=st.booleans(),
    metadata=st.dictionaries(st.text(max_size=3), st.none() | st.integers() | TEXTS, max_size=2),
)


@pytest.mark.parametrize("file_format", ["ndjson", "csv"])
@settings(deadline=None)
@given(labels=st.lists(LABELS, max_size=4))
def test_written_labels_are_read_back(file_format: FileFormat, labels: list[LabelFields]) -> None:
    given_labels = [fields.new_label() for fields in labels]

    assert read("".join(write_labels(given_labels, file_format)), file_format) == given_labels


@settings(deadline=None)
@given(names=st.lists(TEXTS | TEXTS.map(lambda name: f"#{name}"), max_size=4))
def test_written_names_are_read_back(names: list[str]) -> None:
    labels = [NewLabel(Label(name)) for name in names]

    assert read("".join(write_labels(labels, "txt")), "txt") == labels


def test_json_lines_omit_default_values() -> None:
    text = "".join(write_labels([NewLabel(Label("juggling", prompts=("with balls",)))], "ndjson"))

    assert json.loads(text) == {"name": "juggling", "prompts": ["with balls"]}


def test_json_lines_are_names_or_records() -> None:
    labels = read('"juggling"\n\n{"name": "rowing", "threshold": 0.5}\n', "ndjson")

    assert labels == [NewLabel(Label("juggling")), NewLabel(Label("rowing", threshold=0.5))]


def test_csv_may_omit_columns_and_separates_items_by_bars() -> None:
    labels = read("name,aliases,enabled\r\nrowing,sculling|paddling,no\r\njuggling,,\r\n", "csv")

    assert labels == [
        NewLabel(Label("rowing", aliases=("sculling", "paddling")), enabled=False),
        NewLabel(Label("juggling")),
    ]


def test_plain_lines_are_names_and_comments() -> None:
    assert read("# sports\nrowing\n\n juggling \n", "txt") == [
        NewLabel(Label("rowing")),
        NewLabel(Label("juggling")),
    ]


def test_every_fault_has_its_label_and_line() -> None:
    text = '"fine"\n{"name": "x", "threshold": 2}\n{"name": \n{"names": "y"}\n'

    assert faults(text, "ndjson") == [
        ("#/labels/1/threshold", "line 2"),
        ("#/labels/2", "line 3"),
        ("#/labels/3/name", "line 4"),
        ("#/labels/3/names", "line 4"),
    ]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("name,threshold\nx,high\n", "#/labels/0/threshold"),
        ("name,enabled\nx,maybe\n", "#/labels/0/enabled"),
        ("name,metadata\nx,7\n", "#/labels/0/metadata"),
        ('name,prompts\nx,"[1]"\n', "#/labels/0/prompts/0"),
        ("name\n \n", "#/labels/0/name"),
        ("name,nmae\nx,y\n", "#/labels"),
        ("prompts\nx\n", "#/labels"),
        ("name\nx,y\n", "#/labels"),
        ('name\n"never closed\n', "#/labels"),
        ("", "#/labels"),
        ("name,name\nx,y\n", "#/labels"),
        ("name,\nx,y\n", "#/labels"),
    ],
)
def test_a_csv_file_with_a_fault_is_refused(text: str, pointer: str) -> None:
    assert [found for found, _ in faults(text, "csv")] == [pointer]


@pytest.mark.parametrize(
    "text",
    [
        "name;aliases;threshold\r\nfencing;épée|foil;0,5\r\nrowing;;\r\n",
        "sep=;\r\nname;aliases;threshold\r\nfencing;épée|foil;0,5\r\nrowing\r\n",
        "Name\tAliases\tThreshold\nfencing\tépée|foil\t0.5\nrowing\n",
        " NAME ,aliases,threshold,,\nfencing,épée|foil,0.5,,\n,,,,\n\nrowing,,,,\n",
        "\n \r\nname,aliases,threshold\nfencing,épée|foil,0.5\nrowing\n",
    ],
    ids=["Excel", "Excel with its note", "tabs", "other spelling and empty cells", "empty rows"],
)
def test_a_table_is_read_as_spreadsheets_write_it(text: str) -> None:
    assert read(text, "csv") == [
        NewLabel(Label("fencing", aliases=("épée", "foil"), threshold=0.5)),
        NewLabel(Label("rowing")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label;alias\nx;y\n", "`label;alias`"),
        ("rowing\nskiing\n", "`rowing`"),
        ("name,id,owner\nx,7,me\n", "`id`, `owner`"),
        ("name,aliases\nx,y,z\n", "line 2 has 3 cells, the first row has 2"),
        ("sep=,\nname\nx\ny,z\n", "line 4 has 2 cells"),
    ],
)
def test_a_table_that_is_refused_is_answered_with_what_was_found(text: str, said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        read(text, "csv")

    assert said in str(caught.value)


def test_broken_json_has_its_line_and_column() -> None:
    with pytest.raises(InvalidParameter) as caught:
        read('"fine"\n{"name": \n', "ndjson")

    [fault] = caught.value.faults
    assert fault.detail.startswith("line 2: not JSON: ")
    assert fault.detail.endswith("at column 9")


def test_a_file_with_too_many_labels_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        read_labels(["a", "b", "c"], "txt", max_labels=2)

    assert len(read_labels(["a", "b"], "txt", max_labels=2)) == 2
