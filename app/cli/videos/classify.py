"""`kinolex classify`: tag video files without a server."""

from pathlib import Path
from typing import Annotated

import typer


def classify(
    videos: Annotated[
        list[Path],
        typer.Argument(help="Video files.", exists=True, dir_okay=False, readable=True),
    ],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help='Labels to choose from, separated by commas: "juggling, riding a horse".'
        ),
    ] = None,
    label_set: Annotated[
        str | None,
        typer.Option(
            help="Stored label set to choose from. Without this option and --labels: `default`."
        ),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of tags per video.")
    ] = None,
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Minimum score of a tag.")
    ] = 0.0,
    segments: Annotated[
        bool, typer.Option("--segments", help="Also report the times at which each tag applies.")
    ] = False,
    window_seconds: Annotated[
        float | None, typer.Option(help="With --segments: length of a window in seconds.")
    ] = None,
    stride_seconds: Annotated[
        float | None, typer.Option(help="With --segments: step between windows in seconds.")
    ] = None,
    hysteresis: Annotated[
        bool,
        typer.Option(
            help="With --segments: continue a segment below the score that opens it, down to half."
        ),
    ] = True,
    json: Annotated[
        bool, typer.Option("--json", help="Print the API's response, one line of JSON per video.")
    ] = False,
) -> None:
    """Tag videos without a server."""
    from app.cli.exits import read_settings
    from app.cli.videos.tag_files import tag_files

    options = {
        "label_set": label_set,
        "top_k": top_k,
        "min_score": min_score,
        "granularity": "segments" if segments else "video",
        "window_seconds": window_seconds,
        "stride_seconds": stride_seconds,
        "hysteresis": hysteresis,
    }
    pairs = [(name, str(value)) for name, value in options.items() if value is not None]
    pairs += [("labels", value) for value in labels or ()]
    raise typer.Exit(tag_files(videos, pairs, read_settings(), as_json=json))
