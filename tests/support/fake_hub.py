"""A model hub on this computer: the part of the Hub's HTTP interface that a download uses."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c" * 40


@contextmanager
def fake_hub(
    repository: str, folder: Path, revision: str = "main", first: str = ""
) -> Iterator[str]:
    """Serve one repository with the files of a folder at one revision; yields the address.

    Other files are answered after the file `first` was sent, if one is named. It is sent slowly, so
    that the client shows progress about it alone.
    """
    first_is_sent = threading.Event()
    if not first:
        first_is_sent.set()
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            api = f"/api/models/{repository}"
            if path in (f"{api}/revision/{revision}", f"{api}/revision/{COMMIT}"):
                siblings = [{"rfilename": name} for name in files]
                body = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
                self._send(200, body, with_body, {"Content-Type": "application/json"})
            elif path in (f"{api}/tree/{revision}", f"{api}/tree/{COMMIT}"):
                entries = [
                    {
                        "type": "file",
                        "path": name,
                        "size": file.stat().st_size,
                        "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
                    }
                    for name, file in files.items()
                ]
                body = json.dumps(entries).encode()
                self._send(200, body, with_body, {"Content-Type": "application/json"})
            elif path.startswith(f"/{repository}/resolve/{COMMIT}/"):
                name = path.removeprefix(f"/{repository}/resolve/{COMMIT}/")
                if name != first:
                    first_is_sent.wait(60)
                body = files[name].read_bytes()
                tag = hashlib.sha1(body).hexdigest()
                headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}
                self._send(200, body, with_body, headers, 0.3 if name == first else 0.0)
                if name == first and with_body:
                    first_is_sent.set()
            elif path.startswith(f"{api}/revision/"):
                self._send(404, b"{}", with_body, {"X-Error-Code": "RevisionNotFound"})
            else:
                self._send(404, b"{}", with_body, {"X-Error-Code": "RepoNotFound"})

        def _send(
            self,
            status: int,
            body: bytes,
            with_body: bool,
            headers: dict[str, str],
            seconds: float = 0.0,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                time.sleep(seconds)
                self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Requests are not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
