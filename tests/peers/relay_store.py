"""What a relay keeps, read as any client reads it: REQ after REQ until there is no more."""

import json
from typing import Any

from websockets.asyncio.client import connect

from tests.signers import DIRECT_MESSAGE, Plain, Signer


async def stored(url: str, **condition: Any) -> list[Plain]:
    """Every event on the relay that a filter asks for, oldest first."""
    found: dict[str, Plain] = {}
    until = 2**40
    async with connect(url) as socket:
        while True:
            await socket.send(json.dumps(["REQ", "all", {**condition, "until": until, "limit": 500}]))
            page = []
            while (frame := json.loads(await socket.recv()))[0] == "EVENT":
                page.append(frame[2])
            assert frame[:2] == ["EOSE", "all"], frame
            if all(event["id"] in found for event in page):
                return sorted(found.values(), key=lambda event: (event["created_at"], event["id"]))
            found |= {event["id"]: event for event in page}
            until = min(event["created_at"] for event in page)


async def letters(url: str, reader: Signer, author: str) -> list[tuple[Plain, str]]:
    """The direct messages from `author` to a person that the relay keeps, and what they say."""
    events = await stored(url, kinds=[DIRECT_MESSAGE], authors=[author], **{"#p": [reader.pubkey]})
    return [(event, reader.read(event)) for event in events]
