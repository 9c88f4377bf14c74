"""Generate requests from the OpenAPI document, and judge the answers with schemathesis.

Run as `make fuzz-api`: starts a service with a fake encoder and an API key, and runs schemathesis
with all checks of `schemathesis.toml`, with that key. The exit status is that of schemathesis.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fuzz.over_http import SERVICE, SETTINGS
from benchmarks.harness.paths import ROOT
from benchmarks.harness.servers import running

_CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
_SCOPES = ("classify", "labels:read", "labels:write", "archive", "admin")
# Webhooks are refused without a secret; this one signs nothing that is sent.
_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def main() -> int:
    """Run schemathesis; it gets the options that are not ours, such as `--phases stateful`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz.api", description=__doc__)
    parser.add_argument("schemathesis", type=Path, help="the program")
    parser.add_argument("--max-examples", type=int, default=20, help="requests of each operation")
    parser.add_argument("--seed", type=int, default=0)
    options, others = parser.parse_known_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        key = _created_key(folder)
        settings = {**SETTINGS, "KINOLEX_CALLBACK_SECRETS": _SECRET}
        with running(SERVICE, "/readyz", folder, settings) as server:
            command = [
                *(
                    str(options.schemathesis.absolute()),
                    "--config-file",
                    str(_CONFIGURATION),
                    "run",
                ),
                f"http://127.0.0.1:{server.port}/openapi.json",
                *("--header", f"Authorization: Bearer {key}"),
                *("--max-examples", str(options.max_examples), "--seed", str(options.seed)),
                *("--request-timeout", "150", "--continue-on-failure", "--no-color", *others),
            ]
            return subprocess.run(command, cwd=folder, check=False).returncode


def _created_key(folder: Path) -> str:
    """Create a key with every scope in the database of a service's folder, and return it."""
    scopes = [part for scope in _SCOPES for part in ("--scope", scope)]
    created = subprocess.run(
        [sys.executable, "-m", "app", "keys", "create", "schemathesis", *scopes],
        cwd=ROOT,
        env={**os.environ, "KINOLEX_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return next(word for word in created.stdout.split() if word.startswith("kx_"))


if __name__ == "__main__":
    sys.exit(main())
