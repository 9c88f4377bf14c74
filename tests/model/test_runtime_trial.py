"""The cached result of measuring runtimes."""

from pathlib import Path

from model.encoder.encoder import Runtime
from model.encoder.runtime_measurement import Measured
from model.runtime_trial import measured_runtime, refused_runtimes, trial_command, write_result
from tests.support.fakes import colour_tagger


def test_a_result_is_found_for_the_same_runtimes_only(tmp_path: Path) -> None:
    tagger = colour_tagger()
    assert measured_runtime(tagger, ["eager"], cache=tmp_path) is None

    chosen = Measured(Runtime("eager", "bfloat16"), 12.5, 0.9999)
    slower = Measured(Runtime("eager", "float32"), 20.0, 1.0)
    write_result(tagger, ["eager"], [slower, chosen], cache=tmp_path)

    assert measured_runtime(tagger, ["eager"], cache=tmp_path) == chosen
    assert measured_runtime(tagger, ["eager", "openvino"], cache=tmp_path) is None


def test_what_failed_or_was_not_accurate_is_found_with_the_reason(tmp_path: Path) -> None:
    tagger = colour_tagger()
    assert refused_runtimes(tagger, ["openvino"], cache=tmp_path) == []
    right = Measured(Runtime("eager", "float32"), 20.0, 1.0)
    failed = Measured(Runtime("openvino", "bfloat16"), fault="ValueError: no graph")
    wrong = Measured(Runtime("openvino", "float32"), 3.0, 0.9)

    write_result(tagger, ["openvino"], [right, failed, wrong], cache=tmp_path)

    assert refused_runtimes(tagger, ["openvino"], cache=tmp_path) == [failed, wrong]


def test_a_damaged_result_is_measured_again(tmp_path: Path) -> None:
    tagger = colour_tagger()
    chosen = Measured(Runtime("eager", "bfloat16"), 12.5, 0.9999)
    write_result(tagger, ["eager"], [chosen], cache=tmp_path)

    (cached,) = tmp_path.iterdir()
    cached.write_text("{damaged")

    assert measured_runtime(tagger, ["eager"], cache=tmp_path) is None


def test_the_command_of_a_trial_ends_with_the_checkpoint_the_cache_and_the_runtimes(
    tmp_path: Path,
) -> None:
    assert trial_command("folder", tmp_path, ["eager"])[-3:] == ["folder", str(tmp_path), "eager"]
