"""Convert WebDataset tars to manifest rows.

Members `KEY.SUFFIX` with the same key are one sample: a video or picture (with `KEY.last.jpg` if a
second picture shows how the action ends), and its texts in `KEY.json` (`label`, `captions`,
`caption`, `dataset`, `split`), or a caption in `KEY.txt`. Class numbers (`KEY.cls`) are ignored.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from model.errors import CorruptVideo
from model.training.data.archives import member_names, read_member
from model.training.data.manifest import PICTURE_SUFFIXES, Sample

_PAIR = ".last"


def samples_in(root: Path, media: frozenset[str]) -> Iterator[Sample | None]:
    """Yield a sample for each key in the tars below `root`, None for a key without texts.

    `media` are the suffixes of videos and pictures. Raises ValueError for a damaged tar.
    """
    for tar in sorted(root.rglob("*.tar")):
        try:
            keys = _by_key(member_names(tar))
            for key in sorted(keys):
                endings = keys[key]
                found = sorted(e for e in endings if e in media)
                if found:
                    yield _sample(tar, key, found[0], endings, root)
        except CorruptVideo as error:
            raise ValueError(str(error)) from error


def _by_key(names: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Group suffixes by key; a key ends at the first dot of the file name."""
    keys: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        stem, dot, ending = path.name.partition(".")
        if stem and dot:
            keys.setdefault(str(path.parent / stem), set()).add("." + ending)
    return {key: frozenset(endings) for key, endings in keys.items()}


def _sample(tar: Path, key: str, ending: str, endings: frozenset[str], root: Path) -> Sample | None:
    about: dict[str, Any] = {}
    if ".json" in endings:
        about = _document(tar, key)
    elif ".txt" in endings:
        about = {"captions": [read_member(tar, key + ".txt").decode("utf-8", "replace")]}
    captions = about.get("captions") or [about.get("caption") or ""]
    texts = tuple(" ".join(str(c).split()) for c in captions if str(c).strip())
    label = str(about.get("label") or "").strip()
    if not label and not texts:
        return None
    pair = key + _PAIR + ending
    is_pair = ending in PICTURE_SUFFIXES and _PAIR + ending in endings
    return Sample(
        path=tar,
        member=key + ending,
        label=label,
        captions=texts,
        dataset=str(about.get("dataset") or root.resolve().name),
        split=str(about.get("split") or ""),
        pair=pair if is_pair else "",
    )


def _document(tar: Path, key: str) -> dict[str, Any]:
    try:
        document = json.loads(read_member(tar, key + ".json"))
    except ValueError as error:
        raise ValueError(f"{key}.json of {tar} is not valid JSON: {error}") from error
    return document if isinstance(document, dict) else {}
