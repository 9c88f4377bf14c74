"""`kinolex data`: write and check manifests, pack samples, find overlapping classes."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.exits import expected_errors
from app.cli.progress import sample_progress
from app.cli.training.options import Fold, Manifests, TextModel

cli = typer.Typer(help="Write, check and pack training data.", no_args_is_help=True)

Samples = Annotated[
    list[Path],
    typer.Argument(help="Manifests in CSV or Parquet.", metavar="MANIFEST...", show_default=False),
]


@cli.command()
def manifest(
    layout: Annotated[
        str,
        typer.Argument(
            help="Layout of the data set: kinetics, ucf101, hmdb51, activitynet, webdataset or "
            "folders."
        ),
    ],
    root: Annotated[Path, typer.Argument(help="Directory of the data set, as published.")],
    out: Annotated[Path, typer.Option(help="Manifest to write: .csv or .parquet.")],
    fold: Fold = 1,
) -> None:
    """Write the manifest of a public data set. The files of the data set stay in place."""
    with expected_errors():
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
        bool, typer.Option("--decode", help="Also open every file and decode frames of it.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that open files.")] = 1,
) -> None:
    """Report every invalid row. The exit code is 1 if there is one."""
    with expected_errors(), sample_progress() as (say, progress):
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
    out: Annotated[Path, typer.Option(help="Directory for shard-NNNNNN.tar and manifest.csv.")],
    short_side: Annotated[
        int,
        typer.Option(
            min=16, help="Length of the short side in pixels; smaller videos are not enlarged."
        ),
    ] = 256,
    gop: Annotated[int, typer.Option(min=1, help="Number of frames between keyframes.")] = 12,
    quality: Annotated[
        int, typer.Option(min=0, max=51, help="CRF of x264; lower values give better quality.")
    ] = 20,
    max_megabytes: Annotated[
        int, typer.Option(min=1, help="Maximum size of a shard in megabytes.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the order of the samples.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that encode.")] = 1,
) -> None:
    """Pack samples into WebDataset tar files: scaled down, fast to seek, in random order."""
    with expected_errors(), sample_progress() as (_, progress):
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
    held_out: Annotated[
        str, typer.Option(help="Split whose classes are held out: a name or a TOML file.")
    ],
    out: Annotated[Path, typer.Option(help="Table to write, for review: a CSV file.")],
    histogram: Annotated[
        Path | None, typer.Option(help="Histogram of the distances to write: .png or .svg.")
    ] = None,
    tau: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=2.0, help="Distance below which texts overlap; overrides the split."
        ),
    ] = None,
    text_model: TextModel = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing table.")] = False,
) -> None:
    """Find training texts that are too similar to held-out classes and write them to a table.

    Change `decision` in the table to keep or drop, then use `kinolex train --overlap TABLE.csv`.
    """
    with expected_errors():
        from model.training.report.overlap_histogram import plot_histogram, removed_labels
        from model.training.words.overlap_review import review_manifests, write_review

        if out.exists() and not force:
            raise ValueError(f"{out} exists and may hold decisions; use --force to overwrite it")
        found = review_manifests(data, held_out, tau=tau, text_model=text_model)
        write_review(out, found)
        if histogram:
            plot_histogram(histogram, found)
    typer.echo(
        f"{out}: {removed_labels(found)} of {len(found.labels)} training classes removed, "
        f"{len(found.overlaps)} overlaps to drop, {len(found.near)} near misses to keep"
    )
