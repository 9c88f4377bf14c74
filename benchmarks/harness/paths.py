"""Where the tree, the real clips and the benchmarks' own files are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# the real clips and pictures lie beside the checkout
SHARED_DATA = ROOT.parent / "shared" / "data"
CACHE = ROOT / ".cache" / "benchmarks"
LABELS_CACHE = ROOT / ".cache" / "bench-labels"
