"""Windows of a long video: how they are planned."""

import pytest

from model import WindowPlan


def test_a_plan_with_too_many_windows_widens_its_stride_and_says_so() -> None:
    plan = WindowPlan.over(100.0, window_seconds=4.0, stride_seconds=2.0, max_windows=5)

    assert plan.count == 5
    assert plan.stride_seconds == pytest.approx(24.0)
    assert plan.warnings == ("stride widened to 24.000 s: 5 windows at most",)
    assert (
        WindowPlan.over(8.0, window_seconds=4.0, stride_seconds=2.0, max_windows=5).warnings == ()
    )
