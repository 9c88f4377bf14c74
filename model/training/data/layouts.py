"""Convert public data sets in their published layouts to manifest rows, without opening videos.

folders      [train|val|test/]LABEL/clip.mp4, videos or pictures
kinetics     400, 600, 700, 700-2020: annotation CSVs beside clips named ID_START_END.mp4, in
             one folder per split (the CVD Foundation's archives) or per split and class (the
             crawlers and torchvision); or class folders without any CSV
ucf101       UCF-101/CLASS/v_CLASS_gNN_cNN.avi and ucfTrainTestlist/{train,test}listNN.txt
hmdb51       CLASS/*.avi and CLASS_test_splitN.txt (1 train, 2 test, 0 neither)
activitynet  activity_net.v1-N.min.json and v_ID.mp4 in any folder; a row for each segment
webdataset   *.tar with KEY.mp4 or KEY.jpg and its texts in KEY.json or KEY.txt
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from model.training.data.manifest import PICTURE_SUFFIXES, Sample
from model.training.data.tables import TableError, column_names, rows_of
from model.training.data.webdataset import samples_in

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg"})
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_KINETICS_COLUMNS = {"label", "youtube_id", "time_start", "time_end"}
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_HMDB_SPLIT = re.compile(r"(.+)_test_split([123])")


class LayoutError(ValueError):
    """A folder that does not hold the named data set in a published layout."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The rows, and the number of annotations without a file or without a label.

    Published lists name videos that are no longer online, so `missing` is usually above 0.
    """

    samples: list[Sample]
    missing: int = 0
    unlabelled: int = 0


def import_layout(name: str, root: Path, *, fold: int = 1) -> Imported:
    """Read the rows of the data set `name` under `root`; `fold` is UCF101's or HMDB51's split, 1-3.

    Raises LayoutError when `root` does not hold that layout.
    """
    if name not in LAYOUTS:
        raise LayoutError(f"no layout {name!r}; there are {', '.join(sorted(LAYOUTS))}")
    if not root.is_dir():
        raise LayoutError(f"{root} is not a folder")
    imported = LAYOUTS[name](root, fold)
    if not imported.samples:
        raise LayoutError(
            f"{root} holds no {name} videos ({imported.missing} rows without a file, "
            f"{imported.unlabelled} without a label)"
        )
    return imported


def _folders(root: Path, fold: int = 1, dataset: str = "") -> Imported:
    samples = [
        Sample(
            path=path,
            member="",
            label=path.parent.name.replace("_", " "),
            captions=(),
            dataset=dataset or root.resolve().name,
            split=_split_of(path, root),
        )
        for path in _files(root, VIDEO_SUFFIXES | PICTURE_SUFFIXES)
        if path.parent != root and path.parent.name.lower() not in _SPLITS
    ]
    return Imported(samples)


def _kinetics(root: Path, fold: int) -> Imported:
    tables = list(_tables(root))
    dataset = root.resolve().name
    if not tables:
        return _folders(root, dataset=dataset)
    clips: dict[str, list[Path]] = {}
    for path in _files(root, VIDEO_SUFFIXES):
        clips.setdefault(path.stem, []).append(path)
    samples: dict[Path, Sample] = {}
    missing = unlabelled = 0
    for table in tables:
        labelled = set(column_names(table)) >= _KINETICS_COLUMNS
        for position, row in rows_of(table):
            if row is None:
                raise LayoutError(f"{table}, {position}: more or fewer cells than the header")
            if not labelled or not row["label"]:
                unlabelled += 1
                continue
            split = _SPLITS.get(row.get("split", ""), "") or _SPLITS.get(table.stem, "")
            try:
                sample = _kinetics_sample(row, clips, split, root, dataset)
            except ValueError as error:
                raise LayoutError(f"{table}, {position}: {error}") from error
            if sample:
                samples.setdefault(sample.path, sample)
            missing += sample is None
    return Imported(list(samples.values()), missing, unlabelled)


def _kinetics_sample(
    row: Mapping[str, str], clips: Mapping[str, list[Path]], split: str, root: Path, dataset: str
) -> Sample | None:
    start, end = float(row["time_start"]), float(row["time_end"])
    cut = clips.get(f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}", [])
    found = cut or clips.get(row["youtube_id"], [])
    if not found:
        return None
    # K400's archives contain intact copies of damaged clips in `replacement`
    ranked = sorted(
        found, key=lambda p: ("replacement" not in p.parts, _split_of(p, root) != split)
    )
    whole = Sample(ranked[0], "", row["label"].replace("_", " "), (), dataset, split)
    return whole if cut else replace(whole, start_seconds=start, end_seconds=end)


def _ucf101(root: Path, fold: int) -> Imported:
    lists = {
        line.split()[0]: split
        for split in ("train", "test")
        for path in root.rglob(f"{split}list{fold:02d}.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
    samples = []
    for path in _files(root, VIDEO_SUFFIXES):
        listed = lists.pop(f"{path.parent.name}/{path.name}", "")
        label = _CAPITAL.sub(" ", path.parent.name).lower()
        samples.append(Sample(path, "", label, (), "UCF101", listed))
    return Imported(samples, missing=len(lists))


def _hmdb51(root: Path, fold: int) -> Imported:
    lists: dict[tuple[str, str], str] = {}
    for path in sorted(root.rglob(f"*_test_split{fold}.txt")):
        named = _HMDB_SPLIT.fullmatch(path.stem)
        for line in path.read_text(encoding="utf-8").splitlines() if named else ():
            name, _, number = line.strip().rpartition(" ")
            if name and named:
                split = {"1": "train", "2": "test"}.get(number, "")
                lists[named[1], name.strip()] = split
    samples = []
    for path in _files(root, VIDEO_SUFFIXES):
        listed = lists.pop((path.parent.name, path.name), "")
        label = path.parent.name.replace("_", " ")
        samples.append(Sample(path, "", label, (), "HMDB51", listed))
    return Imported(samples, missing=len(lists))


def _activitynet(root: Path, fold: int) -> Imported:
    documents = [path for path in sorted(root.rglob("*.json")) if "activity" in path.name.lower()]
    if not documents:
        raise LayoutError(f"{root} holds no activity_net.v1-N.min.json")
    # v1-3 includes the videos of v1-2
    database = _database(documents[-1])
    videos = {path.stem.removeprefix("v_"): path for path in _files(root, VIDEO_SUFFIXES)}
    samples: list[Sample] = []
    missing = unlabelled = 0
    for name, split, annotations in database:
        unlabelled += not annotations
        for label, start, end in annotations:
            if name not in videos:
                missing += 1
            elif end > start:
                sample = Sample(videos[name], "", label, (), "ActivityNet", split)
                samples.append(replace(sample, start_seconds=start, end_seconds=end))
    return Imported(samples, missing, unlabelled)


def _webdataset(root: Path, fold: int) -> Imported:
    try:
        found = list(samples_in(root, VIDEO_SUFFIXES | PICTURE_SUFFIXES))
    except ValueError as error:
        raise LayoutError(str(error)) from error
    samples = [sample for sample in found if sample]
    return Imported(samples, unlabelled=len(found) - len(samples))


def _database(path: Path) -> list[tuple[str, str, list[tuple[str, float, float]]]]:
    """Read each video's name, split, and labels with start and end in seconds."""
    try:
        database = json.loads(path.read_text(encoding="utf-8"))["database"]
        return [
            (
                name,
                _SPLITS.get(entry["subset"], ""),
                [(a["label"], *map(float, a["segment"])) for a in entry["annotations"]],
            )
            for name, entry in database.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LayoutError(f"{path} is not an ActivityNet annotation: {error!r}") from error


LAYOUTS: Mapping[str, Callable[[Path, int], Imported]] = {
    "activitynet": _activitynet,
    "folders": _folders,
    "hmdb51": _hmdb51,
    "kinetics": _kinetics,
    "ucf101": _ucf101,
    "webdataset": _webdataset,
}


def _files(root: Path, suffixes: frozenset[str]) -> list[Path]:
    found = (path for path in root.rglob("*") if path.suffix.lower() in suffixes)
    return sorted(path for path in found if not path.name.startswith("."))


def _tables(root: Path) -> Iterator[Path]:
    """Find annotation tables; Kinetics-600 was also published with the suffix .txt."""
    for path in sorted(root.rglob("*.csv")) + sorted(root.rglob("*.txt")):
        try:
            if "youtube_id" in column_names(path):
                yield path
        except TableError:
            continue


def _split_of(path: Path, root: Path) -> str:
    folders = (part.lower() for part in path.relative_to(root).parts[:-2])
    flat = path.parent.name.lower() if path.parent != root else ""
    return next((_SPLITS[f] for f in (*folders, flat) if f in _SPLITS), "")
