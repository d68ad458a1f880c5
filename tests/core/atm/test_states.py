"""States: the legal moves, and nothing but them (acceptance O1, S4-S10, D3-D7)."""

from collections.abc import Mapping
from typing import Any

from nostrbot.core.atm.states import DEPOSIT_MOVES, SETTLEMENT_MOVES, DepositStatus, SettlementStatus


def reachable(moves: Mapping[Any, frozenset[Any]]) -> set[Any]:
    """Every status that can follow birth, in any number of moves."""
    seen: set[Any] = set()
    waiting: list[Any] = [None]
    while waiting:
        for status in moves[waiting.pop()] - seen:
            seen.add(status)
            waiting.append(status)
    return seen


def test_every_status_has_its_row_and_can_be_reached() -> None:
    """A status without a row would be a trap, one that nothing leads to a lie."""
    assert set(SETTLEMENT_MOVES) == {None, *SettlementStatus}
    assert set(DEPOSIT_MOVES) == {None, *DepositStatus}
    assert reachable(SETTLEMENT_MOVES) == set(SettlementStatus)
    assert reachable(DEPOSIT_MOVES) == set(DepositStatus)


def test_a_settlement_is_born_pending_processed_or_rejected() -> None:
    """S3: rejected is insert only; nothing moves to it or from it (S9)."""
    assert SETTLEMENT_MOVES[None] == {"pending", "processed", "rejected"}
    assert SETTLEMENT_MOVES[SettlementStatus.REJECTED] == frozenset()
    assert [status for status, to in SETTLEMENT_MOVES.items() if SettlementStatus.REJECTED in to] == [None]


def test_a_settlement_s_moves() -> None:
    """S5-S13: what waits is processed or set aside, only what is errored is tried again, a refund is the end."""
    table = {status.value: sorted(to) for status, to in SETTLEMENT_MOVES.items() if status}
    assert table == {
        "pending": ["errored", "processed", "processing", "refunded"],
        "processing": ["errored", "processed"],
        "processed": ["partial", "refunded"],
        "partial": ["partial", "processed", "refunded"],
        "refunded": [],
        "errored": ["pending", "processed", "refunded"],
        "rejected": [],
    }


def test_a_deposit_s_moves() -> None:
    """D3-D7: what was confirmed is reversed, never un-confirmed; what is cancelled or reversed stays so."""
    table = {status.value if status else None: sorted(to) for status, to in DEPOSIT_MOVES.items()}
    assert table == {
        None: ["pending"],
        "pending": ["cancelled", "confirmed"],
        "confirmed": ["reversed"],
        "cancelled": [],
        "reversed": [],
    }
