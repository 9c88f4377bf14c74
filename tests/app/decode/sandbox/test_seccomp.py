"""The table of system calls, against the kernel's own headers."""

import re
from pathlib import Path

import pytest

from app.decode.sandbox.seccomp import refuse_unlisted_calls, system_calls

_HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", _HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    header = _HEADERS[machine]
    if not header.exists():
        pytest.skip("the kernel's headers are not installed")
    # the generic header calls some numbers __NR3264_, as 32-bit machines have two such calls
    lines = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    known = {name: int(number) for name, number in lines}

    allowed = system_calls(machine)

    assert allowed == {name: known[name] for name in allowed}


def test_a_processor_without_a_table_has_no_filter() -> None:
    assert not refuse_unlisted_calls("riscv64")
