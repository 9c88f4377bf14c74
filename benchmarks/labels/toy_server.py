"""The service with a fake checkpoint that names colours; it starts in a second or two."""

import argparse

import uvicorn

from app.http.connection import BoundedConnection
from app.main import create_app
from app.settings import Settings
from tests.support.fakes import colour_tagger


def main() -> None:
    """Run `python -m benchmarks.labels.toy_server --port PORT` with settings of the environment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    app = create_app(Settings(), tagger=colour_tagger())
    uvicorn.run(
        app,
        http=BoundedConnection,
        port=parser.parse_args().port,
        log_config=None,
        access_log=False,
    )


if __name__ == "__main__":
    main()
