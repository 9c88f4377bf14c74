"""The parts of the benchmarks: a report says what was measured."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import av
import pytest

from app.settings import Settings
from benchmarks.harness import clips
from benchmarks.harness.load import Body, percentile, run_clients
from benchmarks.harness.worker_group import Unavailable, WorkerGroup, repeat
from benchmarks.speed import decoders
from benchmarks.speed.judged import is_met, judged
from benchmarks.speed.report import every_load_page, page, table
from model.runtime_trial import trial_command
from model.video.reader import open_video
from tests.support.paths import ROOT

TINY = clips.Clip("2 s 160x120", 160, 120, 2, 200)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.encoded(TINY, tmp_path_factory.mktemp("clips"))


class SlowAnswers(BaseHTTPRequestHandler):
    """Answers a form after 50 ms, or with 503."""

    protocol_version = "HTTP/1.1"
    status: ClassVar[int] = 200
    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        threading.Event().wait(0.05)
        self.send_response(self.status)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow_port() -> Iterator[int]:
    SlowAnswers.status = 200
    SlowAnswers.bodies.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowAnswers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_closed_loop_sends_as_many_requests_as_it_gets_answers(
    slow_port: int, tiny: Path
) -> None:
    body = Body.form(tiny, granularity="segments")

    load = run_clients(slow_port, "/", body, clients=3, seconds=0.5)

    assert not load.errors
    assert min(load.latencies) >= 0.05
    # three clients, each at most twenty times a second; a busy computer makes it fewer
    assert 3 / max(load.latencies) * 0.9 <= load.per_second <= 3 / 0.05
    assert tiny.read_bytes() in SlowAnswers.bodies[0]
    assert b'name="granularity"\r\n\r\nsegments\r\n' in SlowAnswers.bodies[0]


def test_an_answer_slower_than_the_measurement_counts_by_its_share(
    slow_port: int, tiny: Path
) -> None:
    load = run_clients(slow_port, "/", Body.form(tiny), clients=2, seconds=0.001)

    assert len(load.latencies) == 2
    assert load.per_second <= 2 / 0.05


def test_refusals_are_not_counted_as_answers(slow_port: int, tiny: Path) -> None:
    SlowAnswers.status = 503

    load = run_clients(slow_port, "/", Body.form(tiny), clients=2, seconds=0.1)

    assert load.latencies == ()
    assert len(load.errors) == 2
    assert "503" in load.errors[0]


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile(list(map(float, range(100))), 99) == 98.0
    assert percentile([7.0], 99) == 7.0


def test_clips_are_what_they_claim(tiny: Path, tmp_path: Path) -> None:
    thrice = clips.repeated(tiny, 3, tmp_path)
    begin = clips.shortened(tiny, 1, tmp_path)

    for path, seconds in ((tiny, 2.0), (thrice, 6.0)):
        with path.open("rb") as file, open_video(file) as video:
            assert video.info.duration_seconds == pytest.approx(seconds, abs=0.01)
            assert (video.info.width, video.info.height) == (160, 120)
            assert video.info.warnings == ()
    with begin.open("rb") as file, open_video(file) as video:
        assert 0.8 <= video.info.duration_seconds <= 1.0
    with av.open(str(thrice)) as container:
        frames = [frame.pts or 0 for frame in container.decode(video=0)]
    assert len(frames) == 180
    assert frames == sorted(set(frames))


def test_a_clip_is_made_once(tiny: Path) -> None:
    made = tiny.stat().st_mtime_ns

    assert clips.encoded(TINY, tiny.parent).stat().st_mtime_ns == made


def test_the_bound_decodes_the_wanted_frames_and_no_more_than_kinolex(tiny: Path) -> None:
    found = decoders.libavcodec(str(tiny))()
    wanted = decoders.times_of(str(tiny))
    with tiny.open("rb") as file, open_video(file) as video:
        video.decode(wanted, short_side=32)
        ours = video.decoded_packets

    assert found == len(wanted) > 1
    needed = sum(group.packets for group in decoders._must_decode(str(tiny), wanted))
    # to show the first frame a decoder takes a few more, where none of them is wanted
    assert needed <= ours <= needed + 3


def test_a_worker_group_works_in_rounds_and_reports_why_it_cannot(tiny: Path) -> None:
    with WorkerGroup("benchmarks.speed.decoders:kinolex", str(tiny), size=1) as group:
        rounds = [group.round(0.01), group.round(0.01)]

    assert all(one.per_second > 0 and one.cpu_seconds > 0 for one in rounds)
    with pytest.raises(Unavailable, match="FileNotFoundError"):
        WorkerGroup("benchmarks.speed.decoders:kinolex", "missing.mp4", size=1).__enter__()


def test_at_least_one_unit_of_work_is_timed() -> None:
    assert repeat(lambda: None, 0.0)["units"] == 1


def results() -> dict[str, Any]:
    load = {"per_second": 2.0, "cpu_seconds": 0.5, "peak_mib": 1.0, "answers": 9, "errors": 0}
    load |= {"p50_seconds": 1.0, "p99_seconds": 1.5}
    clip = {
        "bound": {"per_second": 2.5, "cpu_seconds": 0.8},
        "servers": {"kinolex": {"4": load}},
        "served_over_bound": 0.8,
        "times_obvious": 12.0,
        "p99_over_p50": 1.5,
        "p99_over_fair_share": 1.5,
    }
    throughput = {"per_second": 3.0, "cpu_seconds": 0.6}
    grown = {"windows": 1, "seconds": 0.5, "decode_seconds": 0.2, "encode_seconds": 0.2}
    return {
        "machine": {"cores": 2, "cpu": "x", "python": "3", "torch": "2", "libavcodec": "62"}
        | {"load_before": 0.5},
        "minutes": 1.0,
        "decode": {"a": {"kinolex": {**throughput, "over_libavcodec": 1.2}, "opencv": {}}},
        "encode": {
            "shipped": {
                "gigaflops": 4.7,
                "runtimes": {
                    "eager float32": throughput,
                    "openvino bfloat16": {**throughput, "cpu_seconds": 0.3},
                },
            }
        },
        "served_runtime": "eager float32",
        "serve": {"a": clip, "b": {**clip, "served_over_bound": 0.95, "times_obvious": 8.0}},
        "growth": {
            "duration": {
                granularity: {
                    "10 s": {**grown, "peak_mib": 500.0},
                    "4 h": {**grown, "peak_mib": peak},
                }
                for granularity, peak in (("video", 510.0), ("segments", 550.0))
            },
            "resolution": {},
            "labels": {"10": {"search_seconds": 1e-5, "build_seconds": 0.1, "mib": 1.0}},
        },
        "unavailable": {"torchcodec": "ImportError: no FFmpeg"},
    }


def test_the_worst_clip_is_judged_and_what_is_missing_is_null() -> None:
    found = judged(results())

    assert found["served_over_bound"] == 0.8
    assert found["times_obvious"] == 8.0
    assert found["encode_over_best"] == pytest.approx(2.0)
    assert found["memory_growth_mb_10s_to_4h"] == pytest.approx(52.4, abs=0.1)
    assert found["times_xclip"] is None
    assert is_met("served_over_bound", 0.8) is False
    assert is_met("memory_growth_mb_10s_to_4h", 52.4) is True
    assert is_met("p99_over_p50", 3.0) is None


def test_a_run_in_which_the_bound_was_beaten_is_not_judged_by_the_clock() -> None:
    disturbed = results()
    disturbed["serve"]["a"]["served_over_bound"] = 1.5

    found = judged(disturbed)

    assert found["served_over_bound"] is None
    assert found["times_obvious"] is None
    assert found["memory_growth_mb_10s_to_4h"] is not None
    assert "disturbed" in page(disturbed)


def test_the_page_says_what_missed_its_goal_and_why_something_is_missing() -> None:
    text = page(results())

    assert "| `served_over_bound` | 0.8 | at least 0.9 | **no** |" in text
    assert "| `times_xclip` | - | at least 5 | - |" in text
    assert "- torchcodec: ImportError: no FFmpeg" in text


def test_the_page_of_every_load_has_a_row_for_each_number_of_clients() -> None:
    measured = results() | {"minutes": 31.0}

    text = every_load_page(measured)

    assert "31 minutes" in text
    assert "| the bound | - |" in text
    assert "| kinolex | 4 |" in text


def test_table_cells() -> None:
    text = table(("a", "b"), [(1234.5, None), (0.01234, True)])

    assert text == "| a | b |\n| --- | --- |\n| 1,234 | - |\n| 0.0123 | yes |\n"


def test_the_last_results_have_every_figure_that_is_judged() -> None:
    path = ROOT / "benchmarks" / "latest.json"
    latest = json.loads(path.read_text(encoding="utf-8"))

    assert not latest["quick"]
    assert {name: latest[name] for name in judged(latest)} == judged(latest)
    assert page(latest) == path.with_suffix(".md").read_text(encoding="utf-8")


def test_a_server_that_has_ended_does_not_settle(tmp_path: Path) -> None:
    pytest.importorskip("psutil", reason="needs the extra `bench`")
    from benchmarks.harness.servers import running

    with running(["-m", "http.server", "--bind", "127.0.0.1"], "/", tmp_path) as server:
        server.process.kill()
        with pytest.raises(Unavailable):
            server.settle()


def test_a_server_has_not_settled_while_it_tries_a_runtime(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil", reason="needs the extra `bench`")
    from benchmarks.harness.servers import TRIAL, Server

    assert TRIAL in trial_command("", tmp_path, ["eager"])
    # the name in two pieces, because it is searched in command lines and this is one
    command = (
        "import subprocess, sys, time\n"
        "trial = [sys.executable, '-c', 'import time; time.sleep(2.5)', 'model.' 'runtime_trial']\n"
        "subprocess.run(trial)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", command]) as process:
        server = Server(0, psutil.Process(process.pid))
        while len(server.tree()) < 2:
            time.sleep(0.01)
        server.settle()
        left = len(server.tree())
        process.kill()
    assert left == 1


def test_servers_are_started_without_the_users_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    psutil = pytest.importorskip("psutil", reason="needs the extra `bench`")
    from benchmarks.harness.servers import MemoryWatch, running

    monkeypatch.setenv("KINOLEX_TOP_K", "3")
    assert Settings().top_k == 3
    with running(["-m", "http.server", "--bind", "127.0.0.1"], "/", tmp_path) as server:
        server.settle()
        assert "KINOLEX_TOP_K" not in server.process.environ()
        with server.resumed(), MemoryWatch(server) as memory:
            pass
        # a signal takes effect when the process is next scheduled
        end = time.monotonic() + 60
        while server.process.status() != psutil.STATUS_STOPPED and time.monotonic() < end:
            time.sleep(0.01)
        assert server.process.status() == psutil.STATUS_STOPPED
        assert 1 < memory.peak_mib < 200
        assert 0 < server.cpu_seconds() < 10
    assert not server.process.is_running()


def loaded(per_second: float, cpu_seconds: float) -> list[dict[str, Any]]:
    return [{"per_second": per_second, "cpu_seconds": cpu_seconds, "latencies": [1.0], "errors": 0}]


def test_a_rival_is_compared_at_its_best_number_of_clients() -> None:
    pytest.importorskip("psutil", reason="needs the extra `bench`")
    from benchmarks.speed.serving import ratios

    bound = {"per_second": 20.0, "cpu_seconds": 0.1}
    loads = {
        "kinolex": {1: loaded(8.0, 0.2), 4: loaded(16.0, 0.125)},
        "obvious": {1: loaded(2.0, 1.0), 4: loaded(1.0, 1.5)},
    }

    found = ratios(bound, loads)

    assert found["clients_obvious"] == 1
    assert found["times_obvious"] == pytest.approx(4.0)
    assert found["cpu_times_obvious"] == pytest.approx(5.0)
    assert found["served_over_bound"] == pytest.approx(0.8)
    assert found["cpu_served_over_bound"] == pytest.approx(0.8)


def test_the_bound_is_the_least_processor_time_on_all_cores() -> None:
    pytest.importorskip("psutil", reason="needs the extra `bench`")
    from benchmarks.harness.worker_group import CORES
    from benchmarks.speed.serving import best_bound

    slow, fast = {"per_second": 3.0, "cpu_seconds": 0.5}, {"per_second": 2.0, "cpu_seconds": 0.25}

    assert best_bound([slow, fast]) == {
        "per_second": CORES / 0.25,
        "cpu_seconds": 0.25,
        "clock_per_second": 3.0,
    }


def test_a_run_on_a_busy_computer_is_not_judged_by_the_clock() -> None:
    busy = results()
    busy["serve"]["a"]["bound"] = {"per_second": 10.0, "cpu_seconds": 0.2, "clock_per_second": 5.0}

    assert judged(busy)["times_obvious"] is None


def test_starts_films_and_refusals_are_judged() -> None:
    measured = results() | {
        "starts": {"first": {"cpu_seconds": 5.0, "rss_mb": 600.0}}
        | {"later": {"cpu_seconds": 3.0, "rss_mb": 650.0}},
        "film": {"video_seconds_per_cpu_second": 70.0, "over_bound": 0.9},
        "refusals": {"refused_p99_ms": 20.0},
    }

    found = judged(measured)

    assert found["rss_mb_ready"] == 650.0
    assert found["cpu_seconds_to_ready"] == 5.0
    assert found["films_over_bound"] == 0.9
    assert found["films_video_seconds_per_cpu_second"] == 70.0
    assert found["refusal_p99_ms"] == 20.0
