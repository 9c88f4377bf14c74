"""Prints what each layer of an image costs: `image_sizes.py FOLDER [--limit MB]`.

FOLDER is an image in OCI's layout, with compressed layers, as `buildah push IMAGE oci:FOLDER`
writes it: a registry keeps, and a computer downloads, as many bytes. Ends with 1 above the limit.
"""

import argparse
import gzip
import json
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MB = 1e6
# File names that only a build of torch for NVIDIA's GPUs brings along.
CUDA = ("/site-packages/nvidia/", "/site-packages/triton/", "libtorch_cuda", "libc10_cuda")


@dataclass(slots=True)
class Layer:
    """One layer: the step that made it, its bytes compressed and unpacked, and those for CUDA."""

    step: str
    compressed: int
    unpacked: int = 0
    cuda: int = 0
    largest: list[tuple[str, int]] = field(default_factory=list)


def read_json(folder: Path, digest: str) -> dict[str, Any]:
    """Return the document of a digest such as `sha256:...`."""
    document = json.loads((folder / "blobs" / digest.replace(":", "/")).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def package(name: str) -> str:
    """Return the package that a file belongs to, or else its first two folders."""
    _, found, inside = name.partition("/site-packages/")
    return inside.split("/")[0] if found else "/".join(name.split("/")[:2])


def measure(layer: Layer, blob: Path) -> None:
    """Fill in what the layer holds."""
    sizes: dict[str, int] = {}
    with gzip.open(blob) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as members:
        for member in members:
            layer.unpacked += member.size
            layer.cuda += member.size if any(word in member.name for word in CUDA) else 0
            sizes[package(member.name)] = sizes.get(package(member.name), 0) + member.size
    layer.largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]


def layers(folder: Path) -> list[Layer]:
    """Return the layers of the only image in the folder, the lowest first."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    (image,) = index["manifests"]
    manifest = read_json(folder, image["digest"])
    config = read_json(folder, manifest["config"]["digest"])
    steps = [step["created_by"] for step in config["history"] if not step.get("empty_layer", False)]
    found = []
    for step, blob in zip(steps, manifest["layers"], strict=True):
        found.append(Layer(" ".join(step.split()), blob["size"]))
        measure(found[-1], folder / "blobs" / blob["digest"].replace(":", "/"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=float, help="of the compressed image, in MB")
    arguments = parser.parse_args()

    found = layers(arguments.folder)
    print("compressed  unpacked   of CUDA  layer")
    for layer in found:
        columns = (layer.compressed, layer.unpacked, layer.cuda)
        print("".join(f"{count / MB:7.1f} MB" for count in columns), "", layer.step[:90])
        named = [f"{name} {count / MB:.0f}" for name, count in layer.largest if count > MB]
        if named:
            print(" " * 31, ", ".join(named))
    total = sum(layer.compressed for layer in found)
    unpacked = sum(layer.unpacked for layer in found)
    cuda = sum(layer.cuda for layer in found)
    print(
        f"compressed size: {total / MB:.0f} MB; unpacked: {unpacked / MB:.0f} MB, "
        + (f"of which {cuda / MB:.0f} MB are for CUDA" if cuda else "no file of which is for CUDA")
    )
    if arguments.limit is not None and total > arguments.limit * MB:
        sys.exit(f"the image is larger than {arguments.limit:.0f} MB")


if __name__ == "__main__":
    main()
