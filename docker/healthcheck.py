"""Exits with 0 if the service in this container answers /readyz with 200, or else with 1.

Uses the standard library only, because it is started every 30 seconds and must be quick.
"""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    port = os.environ.get("KINOLEX_PORT", "8000")
    # Docker sets http_proxy in each container where its client is configured for a proxy.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/readyz", timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, OSError) as error:
        print(f"not ready: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
