"""Accuracy with and without calibration on classes that it was not fitted on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.checkpoint import FOLDER

_MANIFESTS = ("pictures/manifest.csv", "videos/manifest.csv")


def measure(data: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Mean over data sets of the harmonic mean, the AUROC of unknown, and the calibration error.

    Every figure is None, with the reason, if `data` has no manifests.
    """
    manifests = [data / name for name in _MANIFESTS if (data / name).is_file()]
    if not manifests:
        return _nothing("no ../shared/data beside the checkout")
    try:
        from model.training.measure.evaluate import EvaluationOptions, evaluate
        from model.training.measure.figures import RAW, SERVED
    except ModuleNotFoundError as error:
        return _nothing(f"{error}; install the extra `train`")
    report = evaluate(FOLDER, manifests, EvaluationOptions(log=say))
    suites = [suite for suite in report.suites if suite.together]
    return {
        "hmean_raw": _mean([suite.together[RAW].before[2] for suite in suites]),
        "hmean_calibrated": _mean([suite.together[SERVED].before[2] for suite in suites]),
        "unknown_auroc": _mean([mean(suite.figures[SERVED].rejection) for suite in report.suites]),
        "unknown_auroc_of_most_similar": _mean(
            [mean(suite.figures[RAW].rejection) for suite in report.suites]
        ),
        "ece": _mean([suite.reliability.error for suite in report.suites]),
        "accuracy_on": [suite.name for suite in report.suites],
        # where true, the known half of the harmonic mean is of clips that were trained on
        "known_were_trained": {
            suite.name: suite.together[SERVED].known_were_trained for suite in suites
        },
    }


def _mean(values: Sequence[float]) -> float | None:
    return mean(values) if values else None


def _nothing(reason: str) -> dict[str, Any]:
    names = ("hmean_raw", "hmean_calibrated", "unknown_auroc", "ece")
    return {**dict.fromkeys(names), "no_accuracy_because": reason}
