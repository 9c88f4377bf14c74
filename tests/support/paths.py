"""Where the tree, its programs and the real clips are."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def program(name: str) -> Path:
    """A program that is installed in the environment of the tests."""
    return Path(sys.executable).parent / name
