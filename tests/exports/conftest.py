"""A bot's home after two months of everything that moves money, and a second operator beside it."""

import asyncio

import pytest

from nostrbot.home.config import Home
from tests.exports.story import live
from tests.offices import office
from tests.peers.bot_process import make_home


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home; nobody writes in it."""
    made = make_home(tmp_path_factory.mktemp("exports") / "home", ["ws://127.0.0.1:1"])

    async def furnish() -> None:
        async with office(made.database_file) as at:
            await live(at)

    asyncio.run(furnish())
    return made
