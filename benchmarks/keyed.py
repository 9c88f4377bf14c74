"""What API keys cost: `python -m benchmarks.keyed`.

Asks a service with a key, which has limits, and one without keys about the same video, in turns,
and compares the processor time of all processes of each for a request. Prints one JSON line.
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
from benchmarks.clips import SMALL, encoded
from benchmarks.servers import Server, running
from benchmarks.serving import SERVICE
from tests.support.keys import ALL_SCOPES, bearer, issue_key

_LIMITS = Limits(requests_per_minute=1_000_000, video_seconds_per_day=10_000_000)


def cpu_seconds(server: Server, video: bytes, headers: dict[str, str], requests: int) -> float:
    """Return the processor time of one request, the mean of several."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    before = server.cpu_seconds()
    for _ in range(requests):
        connection.request("POST", "/classify", video, {"Content-Type": "video/mp4", **headers})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:500].decode()}")
    connection.close()
    return (server.cpu_seconds() - before) / requests


def main() -> int:
    """Measure both services in turns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keyed", description=__doc__)
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
            pairs = [
                (
                    cpu_seconds(without, video, {}, options.requests),
                    cpu_seconds(with_key, video, headers, options.requests),
                )
                for _ in range(options.rounds + 1)
            ][1:]
    ratios = [first / second for first, second in pairs]
    print(
        json.dumps(
            {
                "cpu_ms_without": round(1000 * statistics.median(one for one, _ in pairs), 2),
                "cpu_ms_with_key": round(1000 * statistics.median(one for _, one in pairs), 2),
                "throughput_ratio": round(statistics.median(ratios), 4),
                "rounds": len(pairs),
                "requests_each": options.requests,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
