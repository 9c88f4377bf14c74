"""Write the errors of `kinolex_client.problems` from the codes of the service.

python client/make_problems.py [FILE], in an environment with the service.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.errors import KINDS  # noqa: E402  # found by the path above

MODULE = ROOT / "client" / "kinolex_client" / "problems.py"
HEAD = '''\
# Written by client/make_problems.py from the codes of the service.
"""One error for each code of a problem."""

from collections.abc import Mapping
from typing import Any

from kinolex_client.errors import Problem
'''
CLASS = '''

class {name}(Problem):
    """{title}."""

    known_code = "{code}"
'''
TAIL = '''

_BY_CODE: dict[str, type[Problem]] = {each.known_code: each for each in Problem.__subclasses__()}


def problem_of(document: Mapping[str, Any], retry_after: float | None = None) -> Problem:
    """Return the error for a problem document. Raises KeyError for JSON that is not one."""
    return _BY_CODE.get(document["code"], Problem)(document, retry_after)
'''


def write(path: Path) -> None:
    """Write the module."""
    classes = [
        CLASS.format(name=code.title().replace("_", ""), title=kind.title, code=code)
        for code, kind in KINDS.items()
    ]
    path.write_text("".join([HEAD, *classes, TAIL]), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], check=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else MODULE)
