"""Run the attacks of a folder against a service: `python -m benchmarks.fuzz.attacks FOLDER`.

The folder has small expensive files under `bombs` and scripts that make more of them, as that of
the review of an early version, `../shared/attacks`. Each file of at most 1 MB must be answered
with 200 or a refusal of the video within 2 s of processor time and 300 MB, by a service with one
decode process and a fake encoder; larger files must be answered. After each of them another client
is answered. Then the scripts that ask by themselves run. Prints what did not hold; the exit status
is 1 then.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fuzz.bombs import measure_all
from benchmarks.fuzz.over_http import SERVICE, SETTINGS
from benchmarks.fuzz.seeds import seed_videos
from benchmarks.harness.servers import Server, running

# Names that the scripts have for videos that they start from.
_SEEDS = {
    "h264.mp4": "h264.mp4",
    "h264.ts": "h264.ts",
    "h264.mkv": "h264.mkv",
    "m2v.mpg": "mpeg2.mpg",
    "mpeg4.avi": "mpeg4.avi",
    "wmv2.asf": "wmv2.asf",
    "flv1.flv": "flv1.flv",
}
_TCP_PORT, _UDP_PORT = 9999, 9998


def main() -> int:
    """Run all attacks of the folder; those that take long can be left out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz.attacks", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mutants", type=int, default=300, help="inputs of the folder's fuzzer")
    parser.add_argument("--no-large", action="store_true", help="no files of over 1 MB")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        tools = _work_folder(folder, options.folder)
        files = [*sorted((options.folder / "bombs").iterdir()), *_made(folder, options.folder)]
        if not options.no_large:
            files += sorted((folder / "scratch" / "big").iterdir())
        with running(SERVICE, "/readyz", folder / "data", SETTINGS) as server:
            failed = measure_all(server, ((file.name, file.read_bytes()) for file in files))
            failed += _escapes(server, folder)
            if options.mutants:
                failed += _fuzz(server, folder, tools, options.mutants)
    print(f"did not hold: {failed}")
    return 1 if failed else 0


def _work_folder(folder: Path, attacks: Path) -> Path:
    """Make the folder that the scripts expect to run in; return that of the scripts in it."""
    for part in ("seeds", "scratch/canary", "fivexx", "slow"):
        (folder / part).mkdir(parents=True)
    videos = seed_videos()
    for name, seed in _SEEDS.items():
        (folder / "seeds" / name).write_bytes(videos[seed])
    return Path(shutil.copytree(attacks / "tools", folder / "tools"))


def _made(folder: Path, attacks: Path) -> Iterator[Path]:
    """Yield the files of at most 1 MB that the scripts make; the large ones are in `scratch`."""
    for count in ("1000", "8000", "30000"):
        _python(folder, str(attacks / "pssh_case.py"), count)
        yield folder / f"pssh{count}.mp4"
    _python(folder, "tools/bombs.py")
    yield from sorted((folder / "bombs").iterdir())


def _escapes(server: Server, folder: Path) -> int:
    """Send files that name a canary and two listeners; return how many of these were reached."""
    canaries = [folder / "scratch" / "canary" / name for name in ("secret.mp4", "secret.ts")]
    own = folder / "scratch" / "own"
    for path in (own, *canaries):
        path.write_bytes(b"secret")
        # a read then sets the time of access, also where the file system is lazy with it
        os.utime(path, (1, time.time()))
    own.read_bytes()
    can_tell = own.stat().st_atime > 1
    with (
        socket.create_server(("127.0.0.1", _TCP_PORT)) as listener,
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
    ):
        receiver.bind(("127.0.0.1", _UDP_PORT))
        print("escapes:", _python(folder, "tools/escapes.py", str(server.port)).strip())
        reached = [f"port {each.getsockname()[1]}" for each in (listener, receiver) if _had(each)]
    reached += [path.name for path in canaries if path.stat().st_atime > 1]
    print(f"escapes: reached {reached}; reads of files are {'seen' if can_tell else 'not seen'}")
    return len(reached)


def _had(each: socket.socket) -> bool:
    """Whether a connection or a message has arrived."""
    each.setblocking(False)
    try:
        if each.type == socket.SOCK_STREAM:
            each.accept()[0].close()
        else:
            each.recv(1)
    except BlockingIOError:
        return False
    return True


def _fuzz(server: Server, folder: Path, tools: Path, count: int) -> int:
    """Run the folder's own fuzzer; return how many inputs it kept as failures."""
    said = _python(
        folder, *(str(tools / "fuzz.py"), str(count), "2", "3600", "fuzz.jsonl", str(server.port))
    )
    kept = sorted(path.name for path in (folder / "fivexx").iterdir())
    print("fuzz:", " ".join(said.split())[:600], f"kept {kept}")
    return len(kept)


def _python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
