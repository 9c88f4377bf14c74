"""What a service of a tagger answers, compared with the library's own cosines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model import Tagger
from tests.support.clips import write_clip
from tests.support.servers import open_client


def assert_served_cosines(tagger: Tagger, folder: Path, make_settings: Callable[..., Any]) -> None:
    """Tag a red clip over HTTP; each similarity is the cosine of label and clip to within 1e-4."""
    write_clip(folder / "red.mp4", seconds_colours=["red"])
    labels = ["riding a horse", "red wall", "juggling"]
    with (
        open_client(make_settings(), tagger=tagger) as client,
        (folder / "red.mp4").open("rb") as file,
    ):
        answer = client.post("/classify", files={"file": file}, data={"labels": labels, "top_k": 3})
    assert answer.status_code == 200, answer.text
    with (folder / "red.mp4").open("rb") as file:
        _, embedding = tagger.embed(file)
    expected = {name: float(tagger.text.encode([name])[0] @ embedding) for name in labels}
    for tag in answer.json()["tags"]:
        assert tag["similarity"] == pytest.approx(expected[tag["label"]], abs=1e-4)
