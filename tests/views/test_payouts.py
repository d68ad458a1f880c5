"""Payouts as they are shown: asked for, on their way, settled with proof, and settled on a wallet's word."""

from collections.abc import Iterator

import pytest

from nostrbot.views.payouts import payout_view
from tests.houses import House
from tests.payouts import house_that_owes, now, payouts_open, preimage_of, sending, told, withdraw


@pytest.fixture
def house() -> Iterator[House]:
    with payouts_open():
        yield house_that_owes()


def test_one_that_was_asked_for_shows_no_attempt(house: House) -> None:
    """Its fee is not known yet, and nothing proves anything."""
    view = payout_view(withdraw(house))
    assert (view["id"], view["kind"], view["for"], view["status"]) == ("p1", "withdraw", "ana", "queued")
    assert (view["sats"], view["fee_cap_sats"], view["fee_sats"]) == (10_000, 55, None)
    assert (view["attempts"], view["payment_hash"], view["proof"], view["expires_at"]) == (0, None, None, None)


def test_one_on_its_way_shows_its_newest_attempt(house: House) -> None:
    """By its payment hash anybody can look it up."""
    payout = sending(house, withdraw(house))
    view = payout_view(payout)
    assert (view["status"], view["attempts"], view["proof"]) == ("sending", 1, None)
    assert view["payment_hash"] == payout.attempts[-1].attempt_id
    assert view["expires_at"] == payout.attempts[-1].expires_at


@pytest.mark.parametrize(("preimage", "proof"), [(preimage_of("p1.1"), "preimage"), (None, "wallet_word")])
def test_one_that_is_settled_shows_its_fee_and_what_proves_it(house: House, preimage: str | None, proof: str) -> None:
    """Of a fee in thousandths of a sat each that is begun counts."""
    payout = sending(house, withdraw(house))
    told(house, payout, "settled", fee_msat=1_001, preimage=preimage)
    view = payout_view(now(house, payout))
    assert (view["status"], view["fee_sats"], view["preimage"], view["proof"]) == ("settled", 2, preimage, proof)
