"""Send mutated videos to a service over HTTP, one after the other, and judge the answers."""

import http.client
import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

from benchmarks.fuzz.campaign import Campaign, Outcome
from benchmarks.fuzz.mutations import Mutant, mutant
from benchmarks.harness.servers import Server, running

# The goal for a file under 100 KB, with the encoder's part and the server's.
MAX_CPU_SECONDS = 5.0
# As the service, with an encoder that costs nothing: what is measured is the way of the bytes.
SERVICE = ("-m", "benchmarks.labels.toy_server", "--port")
SETTINGS = {
    "KINOLEX_RUNTIME": "eager",
    "KINOLEX_LOG_LEVEL": "error",
    "KINOLEX_DECODE_WORKERS": "1",
}
_PATHS = (
    "/classify",
    "/classify?decode=keyframes",
    "/classify?granularity=segments",
    "/classify?keep=true",
    "/classify",
    "/embed",
    "/classify?granularity=segments&decode=keyframes",
    "/classify",
)
PATIENCE_SECONDS = 150.0
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def run(
    numbers: Iterable[int],
    seeds: Mapping[str, bytes],
    *,
    campaign: int = 0,
    log: TextIO | None = None,
) -> Campaign:
    """Ask a service about the mutants with these numbers; write a line for each to `log`.

    Raises Unavailable if the service cannot be started. The campaign ends where it has died.
    """
    done = Campaign(MAX_CPU_SECONDS)
    with (
        TemporaryDirectory() as folder,
        running(SERVICE, "/readyz", Path(folder), SETTINGS) as server,
    ):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        for number in numbers:
            path = _PATHS[number % len(_PATHS)]
            done.note(ask(server, connection, mutant(number, seeds, campaign), path), log)
            if not server.tree():
                break
        connection.close()
    return done


def ask(
    server: Server, connection: http.client.HTTPConnection, video: Mutant, path: str
) -> Outcome:
    """Send a video and return what came of it."""
    used, started = _cpu_seconds(server.process.pid), time.monotonic()
    status, code, detail = 0, "not answered", ""
    try:
        answer = _answer(connection, path, video.data)
        status, code = answer.status, "ok"
        read = json.loads(answer.read())
        if status != 200:
            code, detail = read["code"], read["detail"]
    except TimeoutError:
        code = "late"
        connection.close()
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        status, detail = 0, repr(error)
        connection.close()
    return Outcome(
        video.number,
        video.seed,
        video.mutations,
        len(video.data),
        code,
        detail[:120],
        round(_cpu_seconds(server.process.pid) - used, 3),
        round(time.monotonic() - started, 3),
        status,
    )


def _answer(
    connection: http.client.HTTPConnection, path: str, data: bytes
) -> http.client.HTTPResponse:
    try:
        connection.request("POST", path, data, {"Content-Type": "video/mp4"})
        return connection.getresponse()
    except ConnectionError:
        # A service closes a connection that was idle; a new one must work.
        connection.close()
        connection.request("POST", path, data, {"Content-Type": "video/mp4"})
        return connection.getresponse()


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, also of those that have ended."""
    total = 0
    with suppress(OSError):
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        children = [child for each in lists for child in each.read_text().split()]
        for one in [str(pid), *children]:
            # proc(5): the fields behind the name; utime, stime, and those of ended children
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / _TICKS_PER_SECOND
