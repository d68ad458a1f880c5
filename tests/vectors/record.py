"""Records golden trails: what the code of today decides, kept so that it verifies for ever.

python -m tests.vectors.record [FOLDER]

Plays every story (stories.py) and writes each of its books as a trail into `FOLDER/<rules>/`, where <rules> is the number that
its entries carry, and their heads into `FOLDER/heads.json`. Without FOLDER that is `trails/` here. What was recorded once is
never written again: a new number of the rules gets trails of its own (docs/architecture.md, "Golden trails").
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import orjson
from loguru import logger

from tests.vectors.scene import scene
from tests.vectors.stories import STORIES, Story

VECTORS = Path(__file__).parent
TRAILS = VECTORS / "trails"
HEADS = "heads.json"


def head_of(trail: bytes) -> dict[str, Any]:
    """What heads.json says of a trail: its bot, its platform, how many entries, and where its chain ends."""
    header, *entries = [orjson.loads(line) for line in trail.splitlines()]
    platform = entries[0]["input"]["event"]["pubkey"]
    return {"bot": header["bot"], "platform": platform, "entries": len(entries), "head": entries[-1]["hash"]}


async def play(story: Story) -> tuple[dict[str, bytes], list[str]]:
    """The trails of a story, by the name of each file, and what in it came to no entry."""
    async with scene() as at:
        await story(at)
        trails = {f"{story.__name__}-{name}.jsonl": trail for name, trail in (await at.trails()).items()}
        return trails, at.silent


def rules_of(trails: dict[str, bytes]) -> str:
    """The one number of the rules that decided all of these trails."""
    numbers = {orjson.loads(line)["rules"] for trail in trails.values() for line in trail.splitlines()[1:]}
    (number,) = numbers
    return str(number)


async def record(folder: Path) -> None:
    """Play all stories, then write what came of them. Raises FileExistsError where the rules' number is recorded already."""
    trails: dict[str, bytes] = {}
    for story in STORIES:
        played, silent = await play(story)
        trails |= played
        print(f"{story.__name__}: {len(played)} books, {sum(map(len, played.values())) // 1000} kB; no entry for")
        print(*(f"    {line[:200]}" for line in silent), sep="\n")
    rules = rules_of(trails)
    (folder / rules).mkdir(parents=True)
    for name, trail in trails.items():
        (folder / rules / name).write_bytes(trail)
    file = folder / HEADS
    heads = orjson.loads(file.read_bytes()) if file.exists() else {}
    heads |= {f"{rules}/{name}": head_of(trail) for name, trail in trails.items()}
    file.write_bytes(orjson.dumps(heads, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


if __name__ == "__main__":
    logger.remove()
    asyncio.run(record(Path(sys.argv[1]) if len(sys.argv) > 1 else TRAILS))
