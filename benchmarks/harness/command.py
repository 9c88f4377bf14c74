"""Command line of the benchmarks that write a page of results."""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness.paths import CACHE

_HERE = Path(__file__).resolve().parents[1]


class Measure(Protocol):
    """Measure every figure; the service keeps its data in `folder`."""

    def __call__(self, cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]: ...


def run(
    module: str,
    description: str | None,
    name: str,
    measure: Measure,
    page: Callable[[Mapping[str, Any]], str],
) -> None:
    """Parse the command line, measure, write NAME.json and NAME.md, and print the page."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one small clip and no other server, to check that everything runs",
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the clips")
    parser.add_argument(
        "--out", type=Path, default=_HERE, help=f"folder of {name}.json and {name}.md"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options.cache, Path(folder), quick=options.quick)
    text = json.dumps(results, indent=1)
    (options.out / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    (options.out / f"{name}.md").write_text(page(results), encoding="utf-8")
    print(page(results))
