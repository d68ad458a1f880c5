"""Tests of payouts: people may ask for them here."""

from collections.abc import Iterator

import pytest

from tests.payouts import payouts_open


@pytest.fixture(autouse=True)
def _open() -> Iterator[None]:
    with payouts_open():
        yield
