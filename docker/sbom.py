"""Prints a bill of materials of what serves, in CycloneDX: `sbom.py CYCLONEDX_PY [EXTRA ...]`.

CYCLONEDX_PY is the program `cyclonedx-py`. It lists everything that is installed, which includes
the tools of development; kept are the requirements of the service and of the extras, and theirs.
No package names the FFmpeg inside of PyAV and the weights of the default checkpoint: both are
added.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import av
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "model" / "default_checkpoint" / "model.safetensors"


def required(name: str, extras: Iterable[str]) -> set[str]:
    """Return the names of a package's requirements, and of theirs, as far as they are installed."""
    found: set[str] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    seen = set(waiting)
    while waiting:
        package, extra = waiting.pop()
        try:
            texts = requires(package) or []
        except PackageNotFoundError:
            continue
        found.add(canonicalize_name(package))
        for requirement in map(Requirement, texts):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                new = {(requirement.name, inner) for inner in ("", *requirement.extras)} - seen
                seen |= new
                waiting += new
    return found - {canonicalize_name(name)}


def only(document: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the bill with the components of these names, and the relations between them."""
    components = [
        component
        for component in document["components"]
        if canonicalize_name(component["name"]) in names
    ]
    refs = {component["bom-ref"] for component in components}
    root = document["metadata"]["component"]["bom-ref"]
    relations = [
        {"ref": relation["ref"], "dependsOn": sorted(refs & set(relation.get("dependsOn", [])))}
        for relation in document["dependencies"]
        if relation["ref"] in refs | {root}
    ]
    return {**document, "components": components, "dependencies": relations}


def with_what_no_package_names(document: dict[str, Any]) -> dict[str, Any]:
    """Return the bill with FFmpeg, which security advisories are about, and with the weights."""
    version = av.ffmpeg_version_info
    ffmpeg = {
        "bom-ref": f"ffmpeg=={version}",
        "type": "library",
        "name": "ffmpeg",
        "version": version,
        "description": "inside of the package av",
        "cpe": f"cpe:2.3:a:ffmpeg:ffmpeg:{version}:*:*:*:*:*:*:*",
        "purl": f"pkg:generic/ffmpeg@{version}",
    }
    weights = {
        "bom-ref": "default-checkpoint",
        "type": "machine-learning-model",
        "name": json.loads((WEIGHTS.parent / "config.json").read_text())["model_id"],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}],
    }
    added = [ffmpeg, weights]
    return {**document, "components": [*document["components"], *added]}


def main() -> None:
    """Print the bill."""
    program, *extras = sys.argv[1:]
    options = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-reproducible"]
    listed = subprocess.run(
        [program, "environment", *options, "--output-format", "JSON", sys.executable],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    bill = only(json.loads(listed.stdout), required("kinolex", extras))
    print(json.dumps(with_what_no_package_names(bill), indent=2))


if __name__ == "__main__":
    main()
