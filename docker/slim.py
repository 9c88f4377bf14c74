"""Removes what serving does not need from an environment: `slim.py ENVIRONMENT [--without-gpu]`.

Tests of packages, headers, sources and static libraries are for those who build. With --without-gpu
also triton, and the CUDA libraries that the dynamic linker does not load together with torch: a
process without a GPU never opens them. Those that it does load must stay, since a torch that was
built with CUDA does not start without them.
"""

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

# A package's public helpers for tests are called `testing`, and are imported by others.
TESTS = {"test", "tests"}
FOR_COMPILERS = {
    ".a",
    ".c",
    ".cc",
    ".cmake",
    ".cpp",
    ".cu",
    ".cuh",
    ".f90",
    ".h",
    ".hpp",
    ".pxd",
    ".pyx",
}
# Of torch: headers and programs for building extensions.
TORCH = ("bin", "include", "share")

_LIST_MAPPED_FILES = """
import torch
with open("/proc/self/maps") as maps:
    print(*{line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line}, sep="\\n")
"""


def size(path: Path) -> int:
    """Return the bytes of a file or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


def for_building(packages: Path) -> Iterator[Path]:
    """Give the folders and files of all packages that only a build or a test of theirs uses."""
    yield from (packages / "torch" / name for name in TORCH)
    for path in packages.rglob("*"):
        if path.is_dir():
            if path.name in TESTS and path.parent != packages:
                yield path
        elif path.suffix in FOR_COMPILERS:
            yield path


def for_gpus(packages: Path, python: Path) -> Iterator[Path]:
    """Give triton, and the files of CUDA packages that importing torch does not load."""
    yield packages / "triton"
    cuda = packages / "nvidia"
    if not cuda.is_dir():
        return
    listed = subprocess.run(
        [python, "-c", _LIST_MAPPED_FILES], stdout=subprocess.PIPE, text=True, check=True
    )
    loaded = {Path(line).resolve() for line in listed.stdout.splitlines()}
    yield from (path for path in cuda.rglob("*") if path.is_file() and path.resolve() not in loaded)


def remove(paths: Iterator[Path]) -> int:
    """Remove the files and folders that exist; return their bytes."""
    freed = 0
    # A list, because the folders are walked while this iterates.
    for path in list(paths):
        if not path.exists() and not path.is_symlink():
            continue
        freed += size(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return freed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path)
    parser.add_argument("--without-gpu", action="store_true")
    arguments = parser.parse_args()
    (packages,) = arguments.environment.glob("lib/python3*/site-packages")

    before = size(packages)
    freed = {"for building and testing": remove(for_building(packages))}
    if arguments.without_gpu:
        freed["for GPUs"] = remove(for_gpus(packages, arguments.environment / "bin" / "python3"))
    for what, count in freed.items():
        print(f"removed {count / 1e6:7.1f} MB {what}")
    print(f"left    {(before - sum(freed.values())) / 1e6:7.1f} MB of {before / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
