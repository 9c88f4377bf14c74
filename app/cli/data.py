"""`kinolex data`: make manifests, check them, pack their files, look for overlaps."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.train import Manifests, TextModel, refusals, telling

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_show_locals=False)

Samples = Annotated[
    list[Path],
    typer.Argument(help="Manifests, CSV or Parquet.", metavar="MANIFEST...", show_default=False),
]


@cli.command()
def manifest(
    layout: Annotated[
        str, typer.Argument(help="kinetics, ucf101, hmdb51, activitynet, webdataset, folders.")
    ],
    root: Annotated[Path, typer.Argument(help="Folder of the data set as it was published.")],
    out: Annotated[Path, typer.Option(help="Manifest to write, .csv or .parquet.")],
    fold: Annotated[
        int, typer.Option(min=1, max=3, help="Official split of UCF101 and HMDB51.")
    ] = 1,
) -> None:
    """Write the manifest of a public data set; its files stay where they are."""
    with refusals():
        from model.training.data.layouts import import_layout
        from model.training.data.manifest import write_manifest

        found = import_layout(layout, root, fold=fold)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(out, found.samples)
    typer.echo(
        f"{out}: {len(found.samples)} samples; {found.missing} annotated ones have no file, "
        f"{found.unlabelled} no label"
    )


@cli.command()
def validate(
    manifests: Samples,
    decode: Annotated[
        bool, typer.Option("--decode", help="Open every file, too, and take frames from it.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Files opened at a time.")] = 1,
) -> None:
    """Report every bad row; exit code 1 if there is one."""
    with refusals(), telling() as (say, progress):
        from model.training.data.manifest import ManifestError, read_manifest
        from model.training.data.survey import survey, unreadable

        bad = False
        for path in manifests:
            try:
                samples = read_manifest(path)
            except ManifestError as error:
                typer.echo(str(error), err=True)
                bad = True
                continue
            for holding in survey(samples):
                say(
                    f"{path}: {holding.dataset or 'no data set'}, {holding.split or 'no split'}: "
                    f"{holding.pictures} pictures, {holding.videos} videos, "
                    f"{holding.labels} labels, {holding.captioned} with captions"
                )
            if decode:
                for trouble in unreadable(samples, workers=workers, progress=progress):
                    typer.echo(trouble, err=True)
                    bad = True
    raise typer.Exit(int(bad))


@cli.command()
def shard(
    manifests: Samples,
    out: Annotated[Path, typer.Option(help="Folder for shard-NNNNNN.tar and manifest.csv.")],
    short_side: Annotated[int, typer.Option(min=16, help="Pixels; nothing is enlarged.")] = 256,
    gop: Annotated[int, typer.Option(min=1, help="Frames from keyframe to keyframe.")] = 12,
    quality: Annotated[int, typer.Option(min=0, max=51, help="x264's CRF, less is better.")] = 20,
    max_megabytes: Annotated[int, typer.Option(min=1, help="Most of a shard.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the samples.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that encode.")] = 1,
) -> None:
    """Pack samples into WebDataset tars: small, quick to seek, in random order."""
    with refusals(), telling() as (_, progress):
        from model.training.data.manifest import read_manifest
        from model.training.data.sharding import ShardConfig, write_shards

        samples = [sample for path in manifests for sample in read_manifest(path)]
        config = ShardConfig(short_side, gop, quality, max_megabytes * 1_000_000, seed)
        written = write_shards(samples, out, config, workers=workers, progress=progress)
    for reason in written.skipped:
        typer.echo(reason, err=True)
    typer.echo(f"{written.manifest}: {written.samples} samples, {len(written.skipped)} left out")


@cli.command()
def overlap(
    data: Manifests,
    held_out: Annotated[str, typer.Option(help="Split whose classes stay unseen: name or path.")],
    out: Annotated[Path, typer.Option(help="Table to write, for a person to decide in.")],
    histogram: Annotated[
        Path | None, typer.Option(help="Picture of the distances to write, .png or .svg.")
    ] = None,
    tau: Annotated[
        float | None, typer.Option(min=0.0, max=2.0, help="Instead of the split's distance.")
    ] = None,
    text_model: TextModel = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing table.")] = False,
) -> None:
    """Find training texts too near to held-out classes; write them down for a person.

    In the table, change `decision` to keep or drop; then `kinolex train --overlap TABLE.csv`.
    """
    with refusals():
        from model.training.report.histogram import draw_histogram, removed_labels
        from model.training.words.overlap_review import review_manifests, write_review

        if out.exists() and not force:
            raise ValueError(f"{out} exists and may hold decisions; --force writes over it")
        found = review_manifests(data, held_out, tau=tau, text_model=text_model)
        write_review(out, found)
        if histogram:
            draw_histogram(histogram, found)
    typer.echo(
        f"{out}: {removed_labels(found)} of {len(found.labels)} training classes removed, "
        f"{len(found.overlaps)} overlaps to drop, {len(found.near)} near misses to keep"
    )
