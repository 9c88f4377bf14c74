"""One replica of the service, with a checkpoint that names colours.

Run as `python -m tests.support.replica DATABASE_URL FOLDER`.

Prints its port and serves until it is killed.
"""

import socket
import sys
from pathlib import Path

import uvicorn

from app.main import create_app
from app.settings import Settings
from tests.support.fakes import colour_tagger


def main() -> None:
    """Serves on a free port."""
    url, folder = sys.argv[1:]
    settings = Settings(
        database_url=url, data_dir=Path(folder), decode_workers=1, log_level="error"
    )
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    app = create_app(settings, tagger=colour_tagger())
    config = uvicorn.Config(app, log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
