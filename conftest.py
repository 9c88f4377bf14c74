"""What a test may need beyond Python: a missing thing skips with its reason, or fails if required.

`.ci/run` passes `--require browser,postgres` after it has installed the programs, so that a test
which silently stops running there fails the gate.
"""

import os
import shutil
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

# The tests' networks are tiny, and threads that wait for each other on a busy computer take ten
# times as long. Read when torch is first imported, also by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

GENERATOR = Path(sys.prefix) / "generator" / "bin" / "openapi-python-client"
FIFTYONE = Path(sys.prefix) / "fiftyone" / "bin" / "python"
LABEL_STUDIO = Path(sys.prefix) / "label-studio" / "bin" / "python"
TYPESCRIPT = Path(sys.prefix) / "typescript" / "node_modules" / ".bin" / "tsc"
SHARED = Path(__file__).resolve().parent.parent / "shared"


def _has_shared() -> bool:
    return (SHARED / "data").is_dir()


def _has_chromium() -> bool:
    return shutil.which("chromium") is not None


def _has_postgres() -> bool:
    # Debian keeps the server's programs out of PATH, one folder per major version.
    return shutil.which("initdb") is not None or any(
        Path("/usr/lib/postgresql").glob("*/bin/initdb")
    )


def _has_buildah() -> bool:
    return shutil.which("buildah") is not None


def _has_generator() -> bool:
    return GENERATOR.is_file()


def _has_label_studio() -> bool:
    return LABEL_STUDIO.is_file()


def _has_fiftyone() -> bool:
    return FIFTYONE.is_file() and shutil.which("ffprobe") is not None


def _has_typescript() -> bool:
    return TYPESCRIPT.is_file()


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "shared": (_has_shared, "needs the real clips in ../shared, beside the checkout"),
    "browser": (_has_chromium, "needs chromium (apt-get install chromium)"),
    "postgres": (_has_postgres, "needs a PostgreSQL server (apt-get install postgresql)"),
    "generator": (_has_generator, "needs openapi-python-client (`make test` installs it)"),
    "label_studio": (_has_label_studio, "needs Label Studio's SDK (`make test` installs it)"),
    "fiftyone": (
        _has_fiftyone,
        "needs FiftyOne (`make fiftyone` installs it) and ffprobe (apt-get install ffmpeg)",
    ),
    "typescript": (_has_typescript, "needs TypeScript (`make test` installs it if there is npm)"),
    "buildah": (_has_buildah, "needs buildah (apt-get install buildah)"),
    "cuda": (_has_cuda, "needs an NVIDIA GPU"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        default="",
        metavar="MARKERS",
        help="comma-separated markers whose tests must not be skipped: " + ", ".join(NEEDS),
    )


def _required(config: pytest.Config) -> set[str]:
    required = {name for name in config.getoption("--require").split(",") if name}
    if unknown := required - NEEDS.keys():
        raise pytest.UsageError(f"--require: unknown {sorted(unknown)}, known {sorted(NEEDS)}")
    return required


def pytest_configure(config: pytest.Config) -> None:
    _required(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = {name for item in items for name in NEEDS if item.get_closest_marker(name)}
    missing = {name for name in wanted if not NEEDS[name][0]()}
    for item in items:
        for name in missing:
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=NEEDS[name][1]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    names = sorted(n for n in _required(item.config) if item.get_closest_marker(n))
    if report.skipped and names and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although --require names {', '.join(names)}: {report.longrepr}"
    return report
