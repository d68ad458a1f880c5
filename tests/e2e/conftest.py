"""What the end-to-end tests share: one embedded relay, as `nostrbot relay` runs it, and one bot on it.

Most files open an operator of their own with that bot: what one does must not be seen by another, and is not.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.house import House, running_house, running_relay


@pytest.fixture(scope="session")
def relay_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One relay for all houses: they do not know of each other."""
    with running_relay(tmp_path_factory.mktemp("relay")) as relay:
        yield relay.url


@pytest.fixture(scope="session")
def town(relay_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A running bot with a platform fee. Names of people are the town's: each file uses its own."""
    with running_house(tmp_path_factory.mktemp("town"), relay_url) as house:
        house.line("platform").data("platform fee cash_in=1% cash_out=1.5%")
        yield house
