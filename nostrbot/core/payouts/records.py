"""Records: a payout and its attempts as frozen values, and the payouts of a book.

What lives here: the values, and which payouts are open. What does not: deciding about them (observations.py, requests.py,
due.py beside this) and the ledger (booking.py). Amounts are whole sats; a real fee is kept in msat, and booked rounded up.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from nostrbot.core.payouts.states import (
    HOLDING,
    IN_FLIGHT,
    PAYOUT_MOVES,
    RESOLVE_GRACE_S,
    AttemptStatus,
    HeldWhy,
    Payee,
    PayoutKind,
    PayoutStatus,
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One instrument that a payout was to be paid by: a Lightning invoice, or a signed transaction.

    Attributes:
        attempt_id: what the rail knows it by: the payment hash of an invoice.
        instrument: what is paid; "" once it is final. The entry that prepared the attempt keeps it.
        expires_at: unix seconds.
        why: what was wrong with it; "": nothing.
        preimage: what proves that it was paid; None: it was not, or there is only the wallet's word.
    """

    number: int
    attempt_id: str
    instrument: str
    expires_at: int
    status: AttemptStatus
    why: str = ""
    fee_msat: int | None = None
    preimage: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still be paid."""
        return self.status in IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Payout:
    """Sats on their way to whom they are owed.

    Attributes:
        lp: whose they are, where the payee is an LP.
        fee_cap_sats: the most that its owner pays in fees.
        why: why it is held; None: it is not.
        returned: how many failed attempts have returned it to the queue since it was asked for.
        next_at: the queue passes it over until then, unix seconds.
    """

    number: int
    kind: PayoutKind
    payee: Payee
    lp: str | None
    sats: int
    fee_cap_sats: int
    destination: str
    status: PayoutStatus
    why: HeldWhy | None
    returned: int
    next_at: int
    requested_at: int
    attempts: tuple[Attempt, ...] = ()

    @property
    def id(self) -> str:
        """As people see it."""
        return f"p{self.number}"

    @property
    def held_sats(self) -> int:
        """Return the sats held for it while it is on its way."""
        return self.sats + self.fee_cap_sats

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that may still be paid; there is at most one."""
        return next((attempt for attempt in self.attempts if attempt.is_open), None)

    @property
    def payable_until(self) -> int:
        """Return from when on no failed attempt can be paid any longer, unix seconds; 0 if none failed."""
        failed = (one.expires_at + RESOLVE_GRACE_S for one in self.attempts if one.status is AttemptStatus.FAILED)
        return max(failed, default=0)

    @property
    def is_open(self) -> bool:
        """Whether something is still to become of it."""
        return self.status in HOLDING or self.open_attempt is not None

    def moved(self, status: PayoutStatus, **changes: Any) -> "Payout":
        """Return the payout after a legal move."""
        assert status in PAYOUT_MOVES[self.status], f"no payout goes from {self.status} to {status}"
        return replace(self, status=status, **({"why": None} | changes))

    def tried(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """Return its attempts with this one as it is now."""
        return (*self.attempts[: attempt.number - 1], attempt, *self.attempts[attempt.number :])


def final(attempt: Attempt, status: AttemptStatus, **changes: Any) -> Attempt:
    """Return an attempt that has come to its end; nobody needs the instrument any more."""
    return replace(attempt, status=status, instrument="", **changes)


@dataclass(slots=True)
class Payouts:
    """The payouts of a book.

    Attributes:
        open: those of which something is still to become, by number; closed: the others.
        attempt_ids: by what rails know them, the payout of each attempt that was ever sent: none is used twice.
    """

    count: int = 0
    is_paused: bool = False
    open: dict[int, Payout] = field(default_factory=dict)
    closed: dict[int, Payout] = field(default_factory=dict)
    attempt_ids: dict[str, int] = field(default_factory=dict)

    def find(self, number: int) -> Payout | None:
        """Return the payout of this number."""
        return self.open.get(number) or self.closed.get(number)

    def note(self, payout: Payout) -> None:
        """Keep a payout as it is now."""
        here, there = (self.open, self.closed) if payout.is_open else (self.closed, self.open)
        there.pop(payout.number, None)
        here[payout.number] = payout
        self.count = max(self.count, payout.number)
        for attempt in payout.attempts:
            if attempt.status is not AttemptStatus.REFUSED:
                self.attempt_ids[attempt.attempt_id] = payout.number

    def set_back(self, now: int) -> None:
        """Let nothing wait for a time that was noted while the clock ran ahead; what may still be paid is waited for."""
        for payout in self.open.values():
            next_at = min(payout.next_at, max(now, payout.payable_until))
            self.open[payout.number] = replace(payout, next_at=next_at)
