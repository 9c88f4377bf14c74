"""The page's modules agree with the types in their JSDoc comments."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TSC = Path(sys.prefix) / "typescript" / "node_modules" / ".bin" / "tsc"
WEB = ROOT / "app" / "web"
OPTIONS = ["--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022"]
OPTIONS += ["--module", "es2022", "--moduleResolution", "bundler"]
OPTIONS += ["--lib", "es2023,dom,dom.iterable"]


def check(modules: Iterable[Path]) -> str:
    """What the compiler finds in the modules."""
    outcome = subprocess.run(
        [TSC, *OPTIONS, *modules], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == (2 if outcome.stdout else 0), outcome.stderr
    return outcome.stdout


@pytest.mark.typescript
def test_every_module_has_the_types_that_it_states() -> None:
    assert check(sorted(WEB.rglob("*.js"))) == ""


@pytest.mark.typescript
def test_a_value_of_another_type_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.js"
    wrong.write_text('/** @type {number} */\nexport const score = "0.5";\n')

    assert "error TS2322" in check([wrong])
