"""Results of the benchmarks as Markdown tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.speed.judged import GOALS, is_disturbed, is_met, judged

Figures = Mapping[str, Any]


def page(results: Figures) -> str:
    """The report of `python -m benchmarks` in Markdown."""
    parts = [
        _judged(results),
        _serving(results["serve"]),
        _decoders(results["decode"]),
        _runtimes(results["encode"]),
        _durations(results["growth"]),
        _labels(results["growth"]["labels"]),
        _missing(results["unavailable"]),
    ]
    return "\n".join(part for part in parts if part)


def every_load_page(results: Figures) -> str:
    """The report of `python -m benchmarks.speed.every_load` in Markdown."""
    parts = [
        f"The run took {results['minutes']:.0f} minutes.\n",
        _serving(results["serve"]),
        _missing(results["unavailable"]),
    ]
    return "\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers have three significant digits, None is a dash."""
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _section(title: str, text: str) -> str:
    return f"### {title}\n\n{text}"


def _judged(results: Figures) -> str:
    rows = []
    for name, value in judged(results).items():
        goal = (
            " ".join(f"{part:g}" if isinstance(part, float) else part for part in GOALS[name])
            if name in GOALS
            else ""
        )
        rows.append((f"`{name}`", value, goal, None if value is None else is_met(name, value)))
    machine = results["machine"]
    made_on = (
        f"{machine['cores']} cores of {machine['cpu']}; Python {machine['python']}, "
        f"torch {machine['torch']}, FFmpeg's libavcodec {machine['libavcodec']}. Load average "
        f"before the run {machine['load_before']:.2f}; the run took {results['minutes']:.1f} "
        "minutes.\n\n"
    )
    if is_disturbed(results):
        made_on += (
            "**Neighbours disturbed this run**: other work took the cores, or the service beat the "
            "bound. Videos per second and waiting times below tell nothing about one server "
            "against another, and are not judged; processor time is.\n\n"
        )
    return _section("What is judged", made_on + table(("figure", "measured", "goal", "met"), rows))


def _serving(clips: Figures) -> str:
    parts = []
    for clip, of in clips.items():
        rows: list[Sequence[object]] = [
            (
                "the bound",
                None,
                of["bound"]["per_second"],
                None,
                None,
                1000 * of["bound"]["cpu_seconds"],
                None,
                None,
                None,
            )
        ]
        rows += [
            (
                name,
                clients,
                load["per_second"],
                load["p50_seconds"],
                load["p99_seconds"],
                1000 * load["cpu_seconds"],
                load["peak_mib"],
                load["answers"],
                _ours_over(of["servers"], clients, load),
            )
            for name, by_clients in of["servers"].items()
            for clients, load in by_clients.items()
        ]
        head = (
            "server",
            "clients",
            "videos/s",
            "p50 s",
            "p99 s",
            "CPU ms a video",
            "peak MiB",
            "answers",
            "kinolex is faster by",
        )
        ratios = ", ".join(
            f"`{name}` {_cell(value)}" for name, value in of.items() if isinstance(value, float)
        )
        parts.append(_section(f"Served: {clip}", f"{table(head, rows)}\n{ratios}\n"))
    return "\n".join(parts)


def _ours_over(servers: Figures, clients: str, load: Figures) -> float | None:
    """Videos per second of the service over those of a load with the same number of clients."""
    ours = servers["kinolex"].get(clients)
    return None if ours in (None, load) else ours["per_second"] / load["per_second"]


def _decoders(clips: Figures) -> str:
    rows = [
        (clip, name, figures.get("per_second"), _ms(figures), figures.get("over_libavcodec"))
        for clip, of in clips.items()
        for name, figures in of.items()
    ]
    head = ("clip", "decoder", "videos/s", "CPU ms a video", "times libavcodec's")
    return _section("Decoded: the frames that `/classify` looks at", table(head, rows))


def _runtimes(networks: Figures) -> str:
    rows = [
        (
            f"{network}, {of['gigaflops']:.1f} GFLOP",
            runtime,
            figures.get("per_second"),
            _ms(figures),
            figures.get("gigaflops_per_second"),
            figures.get("share_of_peak"),
        )
        for network, of in networks.items()
        for runtime, figures in of["runtimes"].items()
    ]
    head = ("network", "runtime", "videos/s", "CPU ms a video", "GFLOP/s", "of the GEMM peak")
    return _section("Encoded: one video at a time per core", table(head, rows))


def _ms(figures: Figures) -> float | None:
    return 1000 * figures["cpu_seconds"] if "cpu_seconds" in figures else None


def _durations(growth: Figures) -> str:
    return "\n".join(_growth(kind, growth[kind]) for kind in ("duration", "resolution"))


def _growth(kind: str, by_granularity: Figures) -> str:
    rows = [
        (
            video,
            granularity,
            figures["windows"],
            figures["seconds"],
            figures["decode_seconds"],
            figures["encode_seconds"],
            figures["peak_mib"],
        )
        for granularity, of in by_granularity.items()
        for video, figures in of.items()
    ]
    head = ("video", "granularity", "windows", "seconds", "decode s", "encode s", "peak MiB")
    return _section(f"Growth with {kind}", table(head, rows))


def _labels(counts: Figures) -> str:
    rows = [
        (f"{int(count):,}", 1000 * of["search_seconds"], of["build_seconds"], of["mib"])
        for count, of in counts.items()
    ]
    return _section("Growth with labels", table(("labels", "search ms", "build s", "MiB"), rows))


def _missing(reasons: Mapping[str, str]) -> str:
    return "".join(_lines(reasons)) and _section("Not measured", "".join(_lines(reasons)))


def _lines(reasons: Mapping[str, str]) -> Iterator[str]:
    for name, reason in reasons.items():
        yield f"- {name}: {reason}\n"
