"""What API keys cost: `python -m benchmarks.hostile.keyed`.

Asks a service with a key, which has limits, and one without keys about the same video, in turns,
and compares the processor time of all processes of each for a request. Then does the same with a
request that needs little else, which tells the cost of the key more exactly. Prints one JSON line.
"""

import argparse
import http.client
import json
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from app.settings import Settings
from app.store.access import Limits
from benchmarks.harness.clips import SMALL, encoded
from benchmarks.harness.servers import Server, running
from benchmarks.speed.serving import SERVICE
from tests.support.keys import ALL_SCOPES, bearer, issue_key

# Small requests for each with a video.
_SMALL_REQUESTS = 10
_LIMITS = Limits(requests_per_minute=1_000_000, video_seconds_per_day=10_000_000)


def cpu_seconds(server: Server, video: bytes, headers: dict[str, str], requests: int) -> float:
    """Return the processor time of one request, the mean of several; `GET /model` without video."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    before = server.cpu_seconds()
    for _ in range(requests):
        if video:
            of_video = {"Content-Type": "video/mp4", **headers}
            connection.request("POST", "/classify", video, of_video)
        else:
            connection.request("GET", "/model", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:500].decode()}")
    connection.close()
    return (server.cpu_seconds() - before) / requests


def main() -> int:
    """Measure both services in turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile.keyed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=30, help="requests of each turn")
    options = parser.parse_args()
    settings = {
        "HF_HUB_OFFLINE": "1",
        "KINOLEX_RUNTIME": "eager",
        "KINOLEX_LOG_LEVEL": "error",
        "KINOLEX_REQUEST_TIMEOUT_SECONDS": "600",
    }
    with TemporaryDirectory() as name:
        folder = Path(name)
        video = encoded(SMALL, folder).read_bytes()
        keyed = folder / "keyed"
        keyed.mkdir()
        headers = bearer(issue_key(Settings(data_dir=keyed), *ALL_SCOPES, limits=_LIMITS))
        with (
            running(*SERVICE, folder / "open", settings) as without,
            running(*SERVICE, keyed, settings) as with_key,
        ):

            def pairs_of(video: bytes, requests: int) -> list[tuple[float, float]]:
                return [
                    (
                        cpu_seconds(without, video, {}, requests),
                        cpu_seconds(with_key, video, headers, requests),
                    )
                    for _ in range(options.rounds + 1)
                ][1:]

            small_pairs = pairs_of(b"", _SMALL_REQUESTS * options.requests)
            pairs = pairs_of(video, options.requests)
    ratios = [first / second for first, second in pairs]
    without_ms = 1000 * statistics.median(one for one, _ in pairs)
    key_ms = 1000 * statistics.median(second - first for first, second in small_pairs)
    print(
        json.dumps(
            {
                "cpu_ms_without": round(without_ms, 2),
                "cpu_ms_with_key": round(1000 * statistics.median(one for _, one in pairs), 2),
                "throughput_ratio": round(statistics.median(ratios), 4),
                "key_cpu_ms": round(key_ms, 3),
                "ratio_by_key_cpu": round(without_ms / (without_ms + key_ms), 4),
                "rounds": len(pairs),
                "requests_each": options.requests,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
