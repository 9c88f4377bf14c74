"""The HTML page and tables of reports, with styles inline, and values for their JSON."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from string import Template
from typing import Any

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { --ink: #1d2733; --muted: #66717f; --line: #d8dee6; --accent: #2563a8; --warm: #c2571a; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 72rem; color: var(--ink);
  background: #fbfcfd; font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .5rem; padding-top: 1.5rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 2rem 0 .5rem; }
p, figcaption { color: var(--muted); max-width: 46rem; margin: .25rem 0 .75rem; }
figure { margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
  gap: .75rem; margin: 1.25rem 0; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem; }
.tile b { display: block; font-size: 1.6rem; font-weight: 600; letter-spacing: -.01em; }
.tile span, .tile small { display: block; color: var(--muted); font-size: .84rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
.pair img { width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; background: #fff; font-size: .92rem; min-width: 30rem; }
th, td { padding: .38rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--muted); font-weight: 500; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { display: inline-block; height: .62rem; border-radius: .2rem; background: var(--accent);
  vertical-align: middle; }
.map { width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: .6rem; }
.map circle.seen { fill: #b9c3cf; fill-opacity: .55; }
.map circle.unseen { fill: var(--warm); fill-opacity: .6; }
.map line { stroke: #8b96a3; stroke-width: .8; }
.map line.unseen { stroke: var(--warm); }
.map text { text-anchor: middle; paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.map text.seen { font-size: 10px; fill: var(--muted); }
.map text.unseen { font-size: 14px; font-weight: 600; fill: var(--ink); }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr));
  gap: .75rem; }
.gallery img { width: 100%; border-radius: .4rem; display: block; }
.gallery figcaption { font-size: .84rem; margin: .2rem 0 0; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$introduction</p>
$sections
</body>
</html>
""")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Render an HTML table; cells are HTML, those that start with a digit are aligned right."""

    def row(cells: Sequence[str], tag: str) -> str:
        numeric = ['class="n"' if cell[:1].isdigit() else "" for cell in cells]
        return "".join(f"<{tag} {n}>{c}</{tag}>" for c, n in zip(cells, numeric, strict=True))

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<div class="wide"><table><tr>{row(head, "th")}</tr>{body}</table></div>'


def percent(share: float) -> str:
    """Format a share 0..1 in per cent; empty for NaN."""
    return "" if math.isnan(share) else f"{100 * share:.1f} %"


def plain(value: Any) -> Any:
    """Convert dataclasses, mappings and sequences to JSON values; NaN and infinity to null."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
