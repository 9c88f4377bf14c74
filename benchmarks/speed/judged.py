"""The figures that have a goal, selected from all measurements."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.harness.clips import MIDDLE

Figures = Mapping[str, Any]
_MB_PER_MIB = 1.048576
_MIN_OF_CORES = 0.9
# of a run whose bound was counted by the clock
_MAX_OF_BOUND = 1.05
_BY_THE_CLOCK = ("served_", "times_", "p99_")


def judged(results: Figures) -> dict[str, float | None]:
    """Each figure at its worst clip, or at the clip that its goal names.

    None if it was not measured, or only in a disturbed run.
    """
    clips: dict[str, Figures] = results["serve"]
    middle = {name: of for name, of in clips.items() if name == MIDDLE.name} or clips
    figures = {
        "served_over_bound": _worst(min, clips, "served_over_bound"),
        "times_obvious": _worst(min, clips, "times_obvious"),
        "times_obvious_same_network": _worst(min, middle, "times_same_network"),
        "times_xclip": _worst(min, clips, "times_xclip"),
        "times_litserve": _worst(min, clips, "times_litserve"),
        "encode_over_best": _encode_over_best(results["encode"], results["served_runtime"]),
        "decode_over_libavcodec": _worst(
            max, {clip: of["kinolex"] for clip, of in results["decode"].items()}, "over_libavcodec"
        ),
        "memory_growth_mb_10s_to_4h": _memory_growth(results["growth"]["duration"]),
        "p99_over_p50": _worst(max, clips, "p99_over_p50"),
        "p99_over_fair_share": _worst(max, clips, "p99_over_fair_share"),
        # the same by processor time, for a computer that does other work too
        "cpu_served_over_bound": _worst(min, clips, "cpu_served_over_bound"),
        "cpu_times_obvious": _worst(min, clips, "cpu_times_obvious"),
        "cpu_times_obvious_same_network": _worst(min, middle, "cpu_times_same_network"),
        "cpu_times_xclip": _worst(min, clips, "cpu_times_xclip"),
        "cpu_times_litserve": _worst(min, clips, "cpu_times_litserve"),
        **_lean(results),
    }
    if is_disturbed(results):
        figures.update({name: None for name in figures if name.startswith(_BY_THE_CLOCK)})
    return figures


def _lean(results: Figures) -> dict[str, float | None]:
    """Films by processor time; a start, the worse of two; refusals under an overload."""
    film, refusals = results.get("film", {}), results.get("refusals", {})
    starts: list[Figures] = list(results.get("starts", {}).values())
    return {
        "films_video_seconds_per_cpu_second": film.get("video_seconds_per_cpu_second"),
        "films_over_bound": film.get("over_bound"),
        "rss_mb_ready": max((each["rss_mb"] for each in starts), default=None),
        "cpu_seconds_to_ready": max((each["cpu_seconds"] for each in starts), default=None),
        "refusal_p99_ms": refusals.get("refused_p99_ms"),
    }


def is_disturbed(results: Figures) -> bool:
    """Whether other work on the computer took much of the cores while the bound was measured.

    Then figures that are measured by the clock cannot be compared between servers.
    """
    return any(
        of["bound"]["clock_per_second"] < _MIN_OF_CORES * of["bound"]["per_second"]
        if "clock_per_second" in of["bound"]
        else of["served_over_bound"] > _MAX_OF_BOUND
        for of in results["serve"].values()
    )


# The goal of a figure: a minimum (at least) or a maximum (at most).
GOALS: dict[str, tuple[str, float]] = {
    "served_over_bound": ("at least", 0.9),
    "times_obvious": ("at least", 10.0),
    "times_obvious_same_network": ("at least", 2.0),
    "times_xclip": ("at least", 5.0),
    "encode_over_best": ("at most", 1.15),
    "memory_growth_mb_10s_to_4h": ("at most", 64.0),
    "p99_over_fair_share": ("at most", 2.0),
    "cpu_served_over_bound": ("at least", 0.9),
    "cpu_times_obvious": ("at least", 10.0),
    "cpu_times_obvious_same_network": ("at least", 2.0),
    "cpu_times_xclip": ("at least", 5.0),
    "films_over_bound": ("at least", 0.9),
    "rss_mb_ready": ("at most", 700.0),
    "cpu_seconds_to_ready": ("at most", 4.0),
    "refusal_p99_ms": ("at most", 50.0),
}


def is_met(name: str, value: float) -> bool | None:
    """Whether a figure reaches its goal; None if it has no goal."""
    if name not in GOALS:
        return None
    kind, limit = GOALS[name]
    return value >= limit if kind == "at least" else value <= limit


def _worst(
    choose: Callable[[Iterable[float]], float], clips: Mapping[str, Figures], name: str
) -> float | None:
    values = [of[name] for of in clips.values() if name in of]
    return choose(values) if values else None


def _encode_over_best(encode: Figures, served: str | None) -> float | None:
    times = {
        name: of["cpu_seconds"]
        for name, of in encode["shipped"]["runtimes"].items()
        if "cpu_seconds" in of
    }
    return times[served] / min(times.values()) if served in times else None


def _memory_growth(durations: Figures) -> float | None:
    """Growth of peak memory in MB from 10 s to 4 h of video, the larger of both granularities."""
    kinds = [durations.get(granularity, {}) for granularity in ("video", "segments")]
    if any("4 h" not in of_length for of_length in kinds):
        return None
    growths: list[float] = [
        of_length["4 h"]["peak_mib"] - of_length["10 s"]["peak_mib"] for of_length in kinds
    ]
    return _MB_PER_MIB * max(growths)
