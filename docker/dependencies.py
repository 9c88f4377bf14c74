"""Prints the requirements of pyproject.toml, one per line: `dependencies.py [EXTRA ...]`.

The image installs them in a layer of their own, before any code is copied, so that a change of the
code rebuilds in seconds. pip can install a project or a file, but not its requirements alone.
"""

import sys
import tomllib
from pathlib import Path


def main() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"]]
    for extra in sys.argv[1:]:
        requirements += project["optional-dependencies"][extra]
    print("\n".join(requirements))


if __name__ == "__main__":
    main()
