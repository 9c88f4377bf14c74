"""Tag all videos of a folder, several at a time: python tag_a_folder.py ADDRESS FOLDER"""

import asyncio
import sys
from pathlib import Path

from kinolex_client import AsyncKinolex, Problem


async def main(address: str, videos: list[Path]) -> None:
    """Keep the analysis of each video, then search all of them."""
    # The service queues and refuses what is too much; the client waits and sends it again.
    at_once = asyncio.Semaphore(4)
    async with AsyncKinolex(address) as kinolex:

        async def tag(video: Path) -> None:
            async with at_once:
                try:
                    answer = await kinolex.classify(video, keep=True, metadata={"file": video.name})
                except Problem as problem:
                    print(f"{video.name}: {problem}")
                else:
                    print(f"{video.name}: {answer.tags[0].label if answer.tags else 'no label'}")

        await asyncio.gather(*map(tag, videos))
        for span in (await kinolex.search("red")).items:
            print(f"red: {span.video.metadata['file']} {span.start:.1f}-{span.end:.1f} s")


asyncio.run(main(sys.argv[1], sorted(Path(sys.argv[2]).iterdir())))
