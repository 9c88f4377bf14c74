"""The command line that benchmarks which write a page have in common."""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from benchmarks.growth import CACHE

_HERE = Path(__file__).resolve().parent


class Measure(Protocol):
    """Every figure of a benchmark; the service keeps its things in `folder`."""

    def __call__(self, cache: Path, folder: Path, *, quick: bool) -> dict[str, Any]: ...


def run(
    module: str,
    description: str | None,
    name: str,
    measure: Measure,
    page: Callable[[Mapping[str, Any]], str],
) -> None:
    """Measures as the command line says, writes NAME.json and NAME.md, and prints the page."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument(
        "--quick", action="store_true", help="one small clip and no rival: does everything run?"
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the clips")
    parser.add_argument(
        "--out", type=Path, default=_HERE, help=f"folder of {name}.json and {name}.md"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(given.cache, Path(folder), quick=given.quick)
    text = json.dumps(results, indent=1)
    (given.out / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    (given.out / f"{name}.md").write_text(page(results), encoding="utf-8")
    print(page(results))
