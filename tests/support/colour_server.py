"""The service with a checkpoint that names colours, run as `kinolex serve` runs it.

Run as `python -m tests.support.colour_server PORT WORKERS`, with settings in the environment. A
video that is blue needs ten minutes to encode.
"""

import sys
from typing import TYPE_CHECKING

from app.http.server.process import Stop
from app.http.server.serve import serve_app
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


def make() -> "FastAPI":
    """The application, in each process."""
    # the process that only starts the others needs no model
    from app.main import create_app
    from tests.support.fakes import SlowBlueEncoder, colour_tagger

    return create_app(tagger=colour_tagger(encoder=SlowBlueEncoder()))


def main() -> None:
    """Serves until a signal."""
    port, workers = map(int, sys.argv[1:])
    settings = Settings()
    stop = Stop(settings.stop_grace_seconds, settings.stop_delay_seconds)
    sys.exit(
        serve_app(
            "tests.support.colour_server:make",
            host="127.0.0.1",
            port=port,
            workers=workers,
            log_level="info",
            stop=stop,
        )
    )


if __name__ == "__main__":
    main()
