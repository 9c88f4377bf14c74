"""The limit of a container's memory is read as the kernel reports it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.lifecycle.control_group import memory_left

MakeGroup = Callable[[str, str, int], None]


@pytest.fixture
def make_group(tmp_path: Path) -> MakeGroup:
    def make(name: str, limit: str, used: int) -> None:
        folder = tmp_path / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("anon 70\nfile 30\ninactive_file 20\nactive_file 5\n")

    return make


def left(mount: Path, path: str = "/") -> int | None:
    membership = mount / "membership"
    membership.write_text(f"1:cpu:/elsewhere\n0::{path}\n")
    return memory_left(mount, membership)


def test_pages_of_files_do_not_count_as_used(tmp_path: Path, make_group: MakeGroup) -> None:
    make_group("", "1000", 600)

    assert left(tmp_path) == 425


def test_the_groups_around_a_group_count_too(tmp_path: Path, make_group: MakeGroup) -> None:
    make_group("kubepods/pod/one", "max", 500)
    make_group("kubepods/pod", "800", 700)
    make_group("kubepods", "5000", 900)

    assert left(tmp_path, "/kubepods/pod/one") == 125


def test_a_group_without_a_limit_leaves_all(tmp_path: Path, make_group: MakeGroup) -> None:
    make_group("one", "max", 500)

    assert left(tmp_path, "/one") is None
    assert left(tmp_path, "/no/such/group") is None
    assert memory_left(tmp_path, tmp_path / "missing") is None
