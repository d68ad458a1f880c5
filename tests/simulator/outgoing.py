"""Outgoing: what is held and what leaves, worked out a second time from what was said and seen.

What lives here: the rules of payouts once more, as far as money goes. What does not: any of the code under test, and any fact
it found. That an input was sealed is taken for its effect; which effect, is worked out here.
"""

from dataclasses import dataclass, field
from typing import Any

Plain = dict[str, Any]
RETURNS = 3


def cap_of(sats: int) -> int:
    """The most that may be paid in fees."""
    return 5 + (sats * 5_000 + 999_999) // 1_000_000


def most_of(free: int) -> int:
    """The most that can be asked for of what is free."""
    sats = max(0, free)
    while sats and sats + cap_of(sats) > free:
        sats -= max(1, (sats + cap_of(sats) - free) // 2)
    return sats


@dataclass
class Going:
    """A payout. `attempts`: what became of each that was sent, by number; `expiries`: when their invoices expire.

    `given_up_at`: when its last attempt can be paid no more, if that has failed; `is_frozen`: until then it is held.
    """

    sats: int
    cap: int
    is_over: bool = False
    returned: int = 0
    attempts: dict[int, str] = field(default_factory=dict)
    expiries: dict[int, int] = field(default_factory=dict)
    given_up_at: int | None = None
    is_frozen: bool = False

    @property
    def whole(self) -> int:
        return self.sats + self.cap


@dataclass
class Outgoing:
    """The operator's payouts, by number. Each method says what the operator's own sats, and all there are, change by."""

    payouts: dict[int, Going] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """What is held for those that are not over."""
        return sum(going.whole for going in self.payouts.values() if not going.is_over)

    def ask(self, text: str, free: int) -> int:
        """Somebody asks for sats, or for all that are free."""
        sats = most_of(free) if text == "all" else int(text)
        going = self.payouts[len(self.payouts) + 1] = Going(sats, cap_of(sats))
        return -going.whole

    def cancel(self, number: int) -> int:
        """All of it returns."""
        self.payouts[number].is_over = True
        return self.payouts[number].whole

    def retry(self, number: int) -> int:
        """It is held anew."""
        going = self.payouts[number]
        going.is_over, going.returned, going.given_up_at = False, 0, None
        return -going.whole

    def pass_time(self, at: int, *, is_frozen: bool) -> int:
        """The clock gives up those whose last attempt can be paid no more, one step a tick where they were frozen."""
        back = 0
        for going in self.payouts.values():
            if going.is_over or going.given_up_at is None:
                continue
            if not is_frozen and not going.is_frozen and at >= going.given_up_at:
                going.is_over = True
                back += going.whole
            going.is_frozen = is_frozen
        return back

    def see(self, seen: Plain, at: int, *, is_frozen: bool) -> tuple[int, int]:
        """What a destination gave, or what a wallet says: (change of the operator's own sats, of all there are)."""
        going, number = self.payouts[seen["payout"]], seen["attempt"]
        if seen["saw"] == "attempt_prepared":
            if is_frozen:
                return 0, 0
            is_flawed = seen["amount_msat"] != going.sats * 1_000 or seen["expires_at"] < max(at, seen["at"]) + 60
            going.attempts[number] = "refused" if is_flawed else "sent"
            going.expiries[number] = seen["expires_at"]
            return self._return(going, at) if is_flawed else (0, 0)
        before = going.attempts[number]
        if before == "settled" or seen["outcome"] == "unknown":
            return 0, 0
        going.attempts[number] = seen["outcome"]
        if seen["outcome"] == "failed":
            return (0, 0) if going.is_over else self._return(going, at, until=going.expiries[number] + 60)
        gone = going.sats - -seen["fee_msat"] // 1_000
        if going.is_over:
            return -gone, -gone
        going.is_over = True
        return going.whole - gone, -gone

    def _return(self, going: Going, at: int, *, until: int = 0) -> tuple[int, int]:
        is_last = going.returned == RETURNS
        going.is_over = is_last and until <= at
        going.given_up_at, going.is_frozen = (until if is_last else None), False
        going.returned += 1
        return (going.whole if going.is_over else 0), 0
