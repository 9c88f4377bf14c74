"""How long a client waits beside attackers: `python -m benchmarks.hostile.neighbours FILE...`.

A client sends one small video after another, in turns alone and beside attackers that each send one
of the files without a pause, from the same address. Prints the medians and their ratio for each
file, and one JSON line last.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.harness.clips import SECOND, encoded
from benchmarks.harness.servers import running
from benchmarks.speed.serving import SERVICE

_MAX_RATIO = 3.0
_PATIENCE_SECONDS = 300.0
_HEADERS = {"Content-Type": "video/mp4"}
_RUN_UP_SECONDS = 2.0


def ask(port: int, video: bytes) -> tuple[str, float]:
    """Send a video over a connection of its own; return the answer's status and the seconds."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("POST", "/classify", video, _HEADERS)
        answer = connection.getresponse()
        answer.read()
        return str(answer.status), time.perf_counter() - started
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, time.perf_counter() - started
    finally:
        connection.close()


def client_seconds(port: int, video: bytes, seconds: float) -> list[float]:
    """Return what each answer took that a client got within `seconds`; at least one."""
    end = time.perf_counter() + seconds
    found: list[float] = []
    while not found or time.perf_counter() < end:
        status, needed = ask(port, video)
        if status != "200":
            raise RuntimeError(f"the client got {status}")
        found.append(needed)
    return found


def beside(
    port: int, video: bytes, bomb: bytes, attackers: int, seconds: float
) -> tuple[list[float], Counter[str]]:
    """As `client_seconds`, beside attackers; return their answers too."""
    ended = threading.Event()
    answers: Counter[str] = Counter()

    def attack() -> None:
        while not ended.is_set():
            answers[ask(port, bomb)[0]] += 1

    threads = [threading.Thread(target=attack) for _ in range(attackers)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(_RUN_UP_SECONDS)
        return client_seconds(port, video, seconds), answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def main() -> int:
    """Measure each file; the exit status is 1 if a ratio is over 3."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile.neighbours", description=__doc__
    )
    parser.add_argument("files", nargs="+", type=Path, help="what the attackers send")
    parser.add_argument("--attackers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each turn")
    options = parser.parse_args()
    ratios: dict[str, float] = {}
    settings = {"HF_HUB_OFFLINE": "1", "KINOLEX_RUNTIME": "eager", "KINOLEX_LOG_LEVEL": "error"}
    with TemporaryDirectory() as name:
        video = encoded(SECOND, Path(name)).read_bytes()
        with running(*SERVICE, Path(name) / "data", settings) as server:
            client_seconds(server.port, video, options.seconds)
            for file in options.files:
                alone: list[float] = []
                attacked: list[float] = []
                answers: Counter[str] = Counter()
                for _ in range(options.rounds):
                    alone += client_seconds(server.port, video, options.seconds)
                    found, seen = beside(
                        *(server.port, video, file.read_bytes()),
                        *(options.attackers, options.seconds),
                    )
                    attacked += found
                    answers += seen
                medians = statistics.median(alone), statistics.median(attacked)
                ratios[file.name] = round(medians[1] / medians[0], 2)
                print(
                    f"{file.name}: {medians[0]:.3f} s alone, {medians[1]:.3f} s beside "
                    f"{options.attackers}, ratio {ratios[file.name]}, {len(attacked)} answers; "
                    f"attackers: {dict(answers)}",
                    flush=True,
                )
    print(json.dumps(ratios))
    return 1 if max(ratios.values()) > _MAX_RATIO else 0


if __name__ == "__main__":
    sys.exit(main())
