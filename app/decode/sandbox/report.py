"""What protects the decode workers on this computer, and what the computer lacks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Protection that the kernel granted to a worker, reported before its first job.

    `seccomp`: only listed system calls are allowed. `landlock_abi`: version of Landlock, which
    refuses every file and TCP port; 0 without Landlock. `no_new_privileges`: no program can give
    the process more rights. `not_dumpable`: other processes of this user cannot read its memory.
    """

    seccomp: bool
    landlock_abi: int
    no_new_privileges: bool
    not_dumpable: bool

    def missing(self) -> tuple[str, ...]:
        """Return a sentence for each protection that this computer lacks."""
        lacks = []
        if not self.seccomp:
            lacks.append(
                "no seccomp filter: a video that takes over a decode process can use every system "
                "call; use Linux on x86-64 or aarch64, and allow seccomp(2)"
            )
        if not self.landlock_abi:
            lacks.append(
                "no Landlock: only seccomp keeps a decode process from files and network; use "
                "Linux 5.13 or newer with Landlock enabled"
            )
        if not self.no_new_privileges:
            lacks.append("no_new_privs is refused: a decode process could gain rights")
        if not self.not_dumpable:
            lacks.append("PR_SET_DUMPABLE is refused: other processes can read decode processes")
        return tuple(lacks)
