"""`kinolex classify`: the options, and what they mean for each other."""

from typing import Annotated, Literal

import typer

from app.cli.remote.connection import remote_service

_SECONDS_BETWEEN_LOOKS = 1.0


def classify(
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO...",
            help="Files, folders, patterns in quotes ('clips/**/*.mp4'), or - for standard input.",
        ),
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
    kind: Annotated[
        Literal["table", "json", "csv", "srt", "vtt"],
        typer.Option(
            "--format",
            help="What is printed; json is the API's response, one line per video.",
        ),
    ] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    sidecar: Annotated[
        bool,
        typer.Option(
            "--sidecar",
            help="Write a file beside each video instead: film.tags.vtt with --format vtt.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Then tag videos that arrive in the folders, until Ctrl-C."),
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of a running service to ask. KINOLEX_API_KEY holds the API key, if it "
            "needs one. Default: no server is needed.",
            metavar="URL",
        ),
    ] = None,
) -> None:
    """Tag videos, with or without a server."""
    from functools import partial

    import anyio

    from app.cli.exits import read_settings
    from app.cli.storage import print_database
    from app.cli.videos import inputs
    from app.cli.videos.asking import own_service, running_service
    from app.cli.videos.outputs import Outputs
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
    watched = inputs.folders(videos) if watch else []
    if watch and not watched:
        raise typer.BadParameter("--watch needs a folder")
    # the first look comes before the list, so that no video is missed between them
    first = inputs.states(watched)
    named = inputs.named_videos(videos)
    if not named and not watch:
        raise typer.BadParameter("the folder has no video")
    outputs = Outputs("json" if json else kind, sidecar)
    outputs.check(named, watching=watch)
    pause = partial(anyio.sleep, _SECONDS_BETWEEN_LOOKS)
    arriving = inputs.arriving_videos(watched, first, pause) if watch else None
    if url is not None:
        with remote_service(url) as service:
            ask = partial(running_service, pairs, service)
            raise typer.Exit(tag_files(named, ask, outputs, arriving))
    settings = read_settings()
    if not labels:
        print_database(settings)
    raise typer.Exit(tag_files(named, partial(own_service, pairs, settings), outputs, arriving))
