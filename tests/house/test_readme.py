"""README and the docs say what is true: the snippet runs, the tree is the disk's, links lead on."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.labels.default_vectors import DEFAULT_VECTORS
from model import load_checkpoint
from tests.support.clips import write_clip
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def tracked_files() -> list[Path]:
    """What belongs to the project: git's list, or in an export without git every file."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("needs a git checkout to know which files belong to the project")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def readme_tree() -> dict[str, str]:
    """Paths in README's file tree and the job that each is said to have."""
    (block,) = [text for text in blocks("text") if "model/" in text]
    jobs: dict[str, str] = {}
    folder = ""
    for line in block.splitlines():
        name, _, job = line.strip().partition(" ")
        if not name:
            continue
        indented = line.startswith(" ")
        if not indented and name.endswith("/"):
            folder = name
        jobs[folder + name if indented else name] = job.strip()
    return jobs


def test_the_python_snippets_tag_a_video_and_its_segments(tmp_path: Path) -> None:
    tags, segments = blocks("python")
    write_clip(tmp_path / "video.mp4", seconds_colours=["green", "blue"])
    source = "\n".join(
        [f"import sys; sys.path.insert(0, {str(ROOT)!r})", tags, "print('--')", segments]
    )

    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    of_tags, of_segments = (part.splitlines() for part in outcome.stdout.split("--\n"))
    scores = [float(line.split()[-1]) for line in of_tags]
    assert scores
    assert scores == sorted(scores, reverse=True)
    assert all(0.0 <= score <= 1.0 for score in scores)
    spans = [line.split(" s")[0].split("-") for line in of_segments]
    assert spans
    assert all(0.0 <= float(start) < float(end) <= 2.0 for start, end in spans)


def test_each_snippet_is_at_most_five_lines_besides_imports() -> None:
    for snippet in blocks("python"):
        lines = [line for line in snippet.splitlines() if line]
        code = [line for line in lines if not line.startswith(("from", "import"))]
        assert len(code) <= 5


def test_the_first_screen_has_picture_result_and_accuracy() -> None:
    first_screen = README[: README.index("```text\nmodel/")]

    assert len(README.splitlines()) <= 150
    for sight in ("docs/images/page.png", "$ kinolex classify", "top-1"):
        assert sight in first_screen


def test_every_curl_line_asks_this_computer_for_a_path_that_exists() -> None:
    curls = [line for text in blocks("sh") for line in text.splitlines() if line.startswith("curl")]
    routes = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "app" / "routes").rglob("*.py")
    )

    assert curls
    for line in curls:
        words = shlex.split(line)
        (address,) = [word for word in words if word.startswith(("localhost", "127.0.0.1"))]
        host, _, path = address.partition("/")
        assert host.endswith(":8000")
        assert f'"/{path.partition("?")[0]}"' in routes


def test_every_make_target_in_the_docs_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    for page in PAGES:
        for named in re.findall(r"`make ([a-z-]+)", page.read_text(encoding="utf-8")):
            assert named in targets, f"{page.name}: there is no `make {named}`"
    for named in re.findall(r"^make ([a-z-]+)", "\n".join(blocks("sh")), re.MULTILINE):
        assert named in targets


def test_the_file_tree_names_only_what_exists() -> None:
    for name in readme_tree():
        assert (ROOT / name).exists(), f"README's tree names {name}, which does not exist"


def test_the_file_tree_names_every_room() -> None:
    tree = readme_tree()
    assert len(tree) <= 36
    for path in tracked_files():
        parts = path.relative_to(ROOT).parts
        if len(parts) > 1:
            assert f"{parts[0]}/" in tree, f"README's tree lacks {parts[0]}"
        if len(parts) > 2 and parts[0] in {"app", "model"}:
            assert f"{parts[0]}/{parts[1]}/" in tree, f"README's tree lacks {parts[0]}/{parts[1]}"


def test_every_line_of_the_tree_says_the_job() -> None:
    for name, job in readme_tree().items():
        assert len(job) > 3, f"README's tree does not say what {name} is for"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


# Addresses that are names or reading matter. None is asked by code, and none is a download.
HARMLESS_HOSTS = {
    "127.0.0.1",
    "localhost",
    "www.apache.org",
    "www.rfc-editor.org",
    "www.w3.org",
    "semver.org",
}
RESERVED = (
    ".example",
    ".test",
    ".invalid",
    ".localhost",
    "example.com",
    "example.org",
    "example.net",
)


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_the_tree_names_no_registry_and_no_download_address() -> None:
    address = re.compile(r"\b(?:https?|ftp|git|ssh)://(?:[^\s/@]*@)?([A-Za-z0-9.-]+)")
    for path in tracked_files():
        for host in address.findall(text_of(path)):
            name = host.lower().rstrip(".")
            known = name in HARMLESS_HOSTS or name.endswith(RESERVED) or "." not in name
            assert known, f"{path.relative_to(ROOT)} names {host}"


def test_nobody_is_told_to_install_kinolex_from_an_index() -> None:
    # no index has it, and anybody could register the name
    advice = re.compile(r"pip install (?:-\S+ )*['\"]?kinolex\b(?![-_])")
    for path in tracked_files():
        assert not advice.search(text_of(path)), f"{path.relative_to(ROOT)}: use '.[extra]'"


def test_the_tree_names_no_path_of_one_computer() -> None:
    own = str(ROOT.parent)
    home = re.compile(r"(?<![\w.])/(?:home|Users)/[a-z]\w*/|(?<![\w.])/ro" r"ot/(?!\.cache/pip)")
    for path in tracked_files():
        text = text_of(path)
        assert own == "/" or f"{own}/" not in text, f"{path.relative_to(ROOT)} names {own}"
        assert not home.search(text), f"{path.relative_to(ROOT)}: {home.search(text)}"


def test_only_weights_and_vectors_are_large() -> None:
    for path in tracked_files():
        if (ROOT / "model" / "default_checkpoint") in path.parents:
            limit = 32 * 1024 * 1024
        elif path == DEFAULT_VECTORS:
            limit = 2 * 1024 * 1024
        else:
            limit = 1024 * 1024
        assert path.stat().st_size <= limit, f"{path.relative_to(ROOT)} is too large for git"


def test_the_report_of_the_default_checkpoint_is_that_of_the_one_served() -> None:
    report = json.loads((ROOT / "docs" / "reports" / "everyday.json").read_text())
    assert report["revision"] == load_checkpoint().revision
