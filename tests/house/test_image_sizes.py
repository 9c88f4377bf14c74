"""What an image leaves out, and how the cost of its layers is told."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "docker" / program, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def environment_of(folder: Path, files: dict[str, str]) -> Path:
    """An environment whose site-packages hold the files, by path and content."""
    packages = folder / "lib" / "python3.14" / "site-packages"
    for name, content in files.items():
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return packages


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_for_building_and_testing_is_removed_and_all_else_stays(tmp_path: Path) -> None:
    kept = {
        "torch/__init__.py",
        "torch/lib/libtorch_cpu.so",
        "torch/testing/__init__.py",
        "numpy/__init__.pyi",
        "test/__init__.py",
        "nvidia/cu13/lib/libcublas.so.13",
        "triton/__init__.py",
    }
    removed = {"torch/include/c.txt", "torch/bin/protoc", "numpy/tests/test_one.py", "numpy/a.h"}
    packages = environment_of(tmp_path, dict.fromkeys(kept | removed, "x" * 100_000))

    outcome = run("slim.py", tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert files_in(packages) == kept
    assert "removed     0.4 MB for building and testing" in outcome.stdout


def test_without_a_gpu_only_the_cuda_libraries_that_torch_loads_stay(tmp_path: Path) -> None:
    # A package of that name which maps one of two libraries, as the dynamic linker maps torch's.
    torch = (
        "import mmap, pathlib\n"
        "library = pathlib.Path(__file__).parent.parent / 'nvidia/lib/libloaded.so.1'\n"
        "file = library.open('rb')\n"
        "mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)\n"
    )
    packages = environment_of(
        tmp_path,
        {
            "torch/__init__.py": torch,
            "nvidia/lib/libloaded.so.1": "used",
            "nvidia/lib/libopened_on_a_gpu.so.1": "not used",
            "triton/__init__.py": "",
        },
    )
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{sys.executable}" "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)

    outcome = run("slim.py", "--without-gpu", tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert {name for name in files_in(packages) if "__pycache__" not in name} == {
        "torch/__init__.py",
        "nvidia/lib/libloaded.so.1",
    }


def oci_image(folder: Path, steps: dict[str, dict[str, int]]) -> Path:
    """An image in OCI's layout: for each step the bytes of its files, by name; none: no layer."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, str | int]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    layers = []
    for files in filter(None, steps.values()):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for name, size in files.items():
                member = tarfile.TarInfo(name)
                member.size = size
                archive.addfile(member, io.BytesIO(bytes(size)))
        layers.append(blob(gzip.compress(packed.getvalue())))
    history = [
        {"created_by": step, "empty_layer": True} if not files else {"created_by": step}
        for step, files in steps.items()
    ]
    config = blob(json.dumps({"history": history}).encode())
    manifest = blob(json.dumps({"config": config, "layers": layers}).encode())
    (folder / "index.json").write_text(json.dumps({"manifests": [manifest]}), encoding="utf-8")
    return folder


STEPS = {
    "base": {"usr/lib/libc.so": 3_000_000},
    "ENV A=1": {},
    "pip install": {
        "opt/kinolex/lib/python3.14/site-packages/torch/lib/libtorch_cpu.so": 4_000_000,
        "opt/kinolex/lib/python3.14/site-packages/nvidia/lib/libcublas.so": 2_000_000,
    },
}


def test_each_layer_is_listed_with_what_it_costs(tmp_path: Path) -> None:
    outcome = run("image_sizes.py", oci_image(tmp_path, STEPS))

    assert outcome.returncode == 0, outcome.stderr
    _, base, _, install, largest, total = outcome.stdout.splitlines()
    assert "3.0 MB    0.0 MB  base" in base
    assert "6.0 MB    2.0 MB  pip install" in install
    assert largest.split() == ["torch", "4,", "nvidia", "2"]
    assert total == ("compressed size: 0 MB; unpacked: 9 MB, of which 2 MB are for CUDA")


@pytest.mark.parametrize(("limit", "code"), [("1", 0), ("0.001", 1)])
def test_an_image_above_the_limit_fails(tmp_path: Path, limit: str, code: int) -> None:
    outcome = run("image_sizes.py", oci_image(tmp_path, STEPS), "--limit", limit)

    assert outcome.returncode == code
    assert ("the image is larger than" in outcome.stderr) == bool(code)
