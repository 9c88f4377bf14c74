"""The commands on pages of the documentation, and how their curl lines are run."""

import os
import re
import subprocess
from pathlib import Path

ADDRESS = "http://127.0.0.1:8000"


def commands(page: str, language: str) -> list[tuple[str, str]]:
    """Each line of the blocks of a language, with the status in its comment; 2xx without one."""
    lines = [
        line
        for block in re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    parts = [re.fullmatch(r"(.*?)(?:   # (\d{3}))?", line) for line in lines]
    return [(part[1], part[2] or "2..") for part in parts if part]


def run_curl(
    lines: list[tuple[str, str]], server: str, folder: Path, environment: dict[str, str]
) -> None:
    """Run curl lines in a folder against a server, and compare their statuses."""
    (folder / ".curlrc").write_text(
        'silent\nshow-error\noutput = answer\nwrite-out = "%{http_code}"\n'
    )
    for command, status in lines:
        assert command.startswith("curl "), command
        outcome = subprocess.run(
            ["bash", "-c", command.replace(ADDRESS, server)],
            cwd=folder, env={**os.environ, **environment, "CURL_HOME": str(folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        answer = (folder / "answer").read_text()
        assert re.fullmatch(status, outcome.stdout), (command, outcome.stderr, answer)
