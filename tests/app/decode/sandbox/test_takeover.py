"""A video that has taken over a decode worker gets nothing: no file, network, process or log."""

import fcntl
import os
import platform
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.decode.frame_memory import FrameSlot
from app.decode.protocol import Failure, Probe, StartDecoding, VideoFacts
from app.decode.sandbox.seccomp import system_calls
from app.decode.worker_pool import WorkerDied, WorkerPool
from app.decode.worker_process import Job
from model.video.reader import VideoLimits
from tests.support.clips import clip_bytes
from tests.support.paths import SHARED
from tests.support.pools import descriptor
from tests.support.taken_over_worker import MARK

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        platform.machine() not in ("x86_64", "aarch64"), reason="the filter has no table"
    ),
]
# Placeholders: {canary} is a file that the service's user may read and write, {folder} its folder,
# {port} a listener's port, {service} the service's process.
ATTEMPTS = {
    "connect": "result = socket.create_connection(('127.0.0.1', {port}), 5)",
    "listen": "result = socket.create_server(('127.0.0.1', 0))",
    "unix socket": "result = socket.socketpair()",
    "fork": "result = os.fork() or os._exit(0)",
    "vfork": "result = subprocess.run(['/bin/true'])",
    "spawn": "result = os.posix_spawn('/bin/true', ['true'], {{}})",
    "exec": "os.execv('/bin/true', ['true'])",
    "clone3": "result = system_call(435, bytes(88), 88)",
    "read a file": "result = open({canary!r}).read()",
    "stat a file": "result = os.stat({canary!r})",
    "list a folder": "result = os.listdir({folder!r})",
    "write a file": "result = os.open({canary!r}, os.O_WRONLY)",
    "map a file": "result = mmap.mmap(os.open({canary!r}, os.O_RDWR), 0)",
    "create a file": "result = os.open({folder!r} + '/new', os.O_CREAT | os.O_WRONLY)",
    "truncate a file": "os.truncate({canary!r}, 0)",
    "delete a file": "os.unlink({canary!r})",
    "rename a file": "os.rename({canary!r}, {canary!r} + '.old')",
    "change a file's mode": "os.chmod({canary!r}, 0o777)",
    "make a folder": "os.mkdir({folder!r} + '/made')",
    "make a link": "os.symlink('/etc', {folder!r} + '/link')",
    "memory file": "result = os.memfd_create('mine')",
    "environment of the service": "result = open('/proc/{service}/environ').read()",
    "memory of the service": "result = os.open('/proc/{service}/mem', os.O_RDWR)",
    "descriptors of the service": "result = os.listdir('/proc/{service}/fd')",
    "read the service's memory": "result = call('process_vm_readv', {service}, 0, 0, 0, 0, 0)",
    "signal the service": "result = os.kill({service}, 0)",
    "signal by descriptor": "result = system_call(434, {service}, 0)",
    "trace the service": "result = call('ptrace', 0x4206, {service}, 0, 0)",
    "limits of the service": "result = resource.prlimit({service}, resource.RLIMIT_NOFILE)",
    "more address space": "result = resource.setrlimit(resource.RLIMIT_AS, (1 << 50, 1 << 50))",
    "more descriptors": "result = resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))",
    "log line on stdout": "result = os.write(1, b'FORGED\\n')",
    "log line on stderr": "result = os.write(2, b'FORGED\\n')",
    "send a descriptor": "result = call('sendmsg', 3, bytes(56), 0)",
    "change the upload": "result = mmap.mmap(fds[0], 16)",
    "change the upload's seals": "result = fcntl.fcntl(fds[0], fcntl.F_ADD_SEALS, 0)",
    "executable memory": "result = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "shared memory of System V": "result = call('shmget', 0, 4096, 0o1600)",
    "user namespace": "result = call('unshare', 0x10000000)",
    "mount": "result = call('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
    "io_uring": "result = system_call(425, 8, bytes(200))",
    "terminal input": "result = fcntl.ioctl(0, 0x5412, b'x')",
    "priority of the service": "result = os.setpriority(os.PRIO_PROCESS, {service}, 0)",
    "affinity of the service": "result = os.sched_getaffinity({service})",
}
# uretprobe and uprobe of x86-64: seccomp lets them pass, and they work only inside a probe
UPROBES = (335, 336)
_SCRIPTS = SHARED / "attacks" / "tools"


@dataclass(frozen=True, slots=True)
class Prey:
    """What an attacker would like to reach."""

    canary: Path
    listener: socket.socket


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def prey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prey]:
    canary = tmp_path_factory.mktemp("data") / "labels.sqlite"
    canary.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield Prey(canary, listener)


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[WorkerPool[FrameSlot]]:
    async with WorkerPool[FrameSlot](
        "tests.support.taken_over_worker",
        StartDecoding(VideoLimits(), 1 << 30, 60),
        workers=1,
        jobs_per_worker=1000,
        make_memory=lambda: FrameSlot(8, 48),
    ) as pool:
        yield pool


@contextmanager
def sealed(data: bytes) -> Iterator[int]:
    fd = os.memfd_create("upload", os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
        yield fd
    finally:
        os.close(fd)


async def run(pool: WorkerPool[FrameSlot], program: str) -> str:
    with sealed(MARK + program.encode()) as fd:
        answer = await pool.do(lambda _: Job(Probe(), (fd,)))
    assert isinstance(answer, Failure)
    return answer.message


async def test_the_programs_do_run(pool: WorkerPool[FrameSlot]) -> None:
    assert await run(pool, "result = 6 * 7") == "got: 42"


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_video_that_took_over_a_worker_is_refused(
    pool: WorkerPool[FrameSlot], prey: Prey, attempt: str, capfd: pytest.CaptureFixture[str]
) -> None:
    program = ATTEMPTS[attempt].format(
        canary=str(prey.canary),
        folder=str(prey.canary.parent),
        port=prey.listener.getsockname()[1],
        service=os.getpid(),
    )

    outcome = await run(pool, program)

    assert outcome.startswith("refused: ")
    assert list(prey.canary.parent.iterdir()) == [prey.canary]
    assert prey.canary.read_text() == "secret"
    with pytest.raises(BlockingIOError):
        prey.listener.accept()
    assert "FORGED" not in "".join(capfd.readouterr())


async def test_every_system_call_that_is_not_listed_is_refused(
    pool: WorkerPool[FrameSlot],
) -> None:
    listed = {*system_calls(platform.machine()).values(), *UPROBES}
    program = f"""
passed = []
for number in set(range(600)) - {listed}:
    try:
        passed.append((number, system_call(number, -1, -1, -1, -1, -1, -1)))
    except OSError as error:
        if error.errno != 1 and (number, error.errno) != (435, 38):
            passed.append((number, error))
result = passed
"""
    assert await run(pool, program) == "got: []"


@pytest.mark.skipif(not _SCRIPTS.is_dir(), reason="needs ../shared/attacks, beside the checkout")
async def test_the_script_of_the_review_gets_nothing(pool: WorkerPool[FrameSlot]) -> None:
    script = (_SCRIPTS / "evil1.py").read_text().removeprefix("EVIL\n")
    attempts = script.count("\nt(")
    program = (
        f"out = []\n{script}\nresult = len(out), [name for name, got, _ in out if got != 'no']"
    )

    assert attempts > 30
    assert await run(pool, program) == f"got: ({attempts}, [])"


async def test_a_worker_that_lies_about_a_later_video_is_replaced(
    pool: WorkerPool[FrameSlot],
) -> None:
    program = """
honest = main.decode
def lie(*arguments):
    answer = honest(*arguments)
    object.__setattr__(answer.info, "codec", "owned")
    return answer
main.decode = lie
result = "stays"
"""
    assert await run(pool, program) == "got: 'stays'"

    with descriptor(clip_bytes()) as fd:
        with pytest.raises(WorkerDied):
            await pool.do(lambda _: Job(Probe(), (fd,)))
        answer = await pool.do(lambda _: Job(Probe(), (fd,)))

    assert isinstance(answer, VideoFacts)
    assert answer.info.codec == "h264"
