"""Tills: what runs along at one machine while it settles, beside its settings and its LPs' cash.

What lives here: volumes, recent rates, rejections and fees, the counter of its settlements (core/atm/counter.py),
expected cassettes and their pace; updated by core/evolution.py as facts come. What does not: what follows from them
(core/atm/settlements/guards.py, core/atm/fixed.py, core/atm/cassettes.py, messages/alerts.py). docs/protocol.md
sections 3.1 (`n`), 3.4, 5. All of it is derived: a till is folded from facts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from nostrbot.core.atm.counter import Counter
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.records import Cassette
from nostrbot.core.atm.states import Direction
from nostrbot.core.local_time import days_before
from nostrbot.money import denomination_minor

RATES_KEPT = 11  # of the last settlements: their median is what a new rate is compared with
PACE_DAYS = 7  # how far back the pace of dispensing is taken from: weekends are unlike other days
REJECTIONS_KEPT = 100  # more within an hour than that need no exact count


def in_order(position: str) -> tuple[int, str]:
    """Sort cassette positions as people do: 2 before 10, and numbers before names."""
    is_number = position.isascii() and position.isdecimal()
    return (int(position), "") if is_number else (2**63, position)


class Rate(NamedTuple):
    """The rate a settlement was booked at, in sats per unit of fiat; an undone settlement takes its rate back."""

    settlement: int
    text: str


class FeesOff(NamedTuple):
    """A settlement whose fee was out of tolerance: the fee charged, and its excess."""

    number: int
    fee_sats: int
    mismatch_sats: int


class Rejection(NamedTuple):
    """A settlement was rejected, `at` unix seconds."""

    at: int
    reason: str


@dataclass(slots=True)
class Till:
    """One machine's running figures.

    Attributes:
        volume_sats: everything that its present key settled and that was not given back.
        day, day_minor: the local day of its last settlement, and the fiat booked on it that was not given back.
        rates: of its last settlements booked, by direction (a machine may buy and sell at different ones), newest last.
        last_rate: of the last settlement booked; "" before the first, and after its key was stolen until the next.
            Entries of rules 1 were priced by it.
        cassettes: by position, in ascending order.
        taken: banknotes dispensed, by local day of the last week and by position; the newest day last.
        fees_off: the last settlement it reported, when its fee was out of tolerance.
        rejections: its last settlements that were rejected, the newest last.
        held: its settlements that wait for the operator, the newest last.
        fees_told_at, cassettes_told_at: the dates of what the machine was told last.
    """

    volume_sats: int = 0
    day: str = ""
    day_minor: int = 0
    rates: dict[Direction, list[Rate]] = field(default_factory=dict)
    last_rate: str = ""
    counter: Counter = field(default_factory=Counter)
    cassettes: dict[str, Cassette] = field(default_factory=dict)
    taken: dict[str, dict[str, int]] = field(default_factory=dict)
    fees_off: FeesOff | None = None
    rejections: list[Rejection] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    fees_told_at: int = 0
    cassettes_told_at: int = 0

    def settle(self, number: int, sale: Sale, day: str) -> None:
        """Take in settlement `number`, which was booked on this local day."""
        self.volume_sats += sale.wire_sats
        if day != self.day:
            self.day, self.day_minor = day, 0
        self.day_minor += sale.fiat_minor
        self.last_rate = sale.rate
        rates = self.rates.setdefault(sale.direction, [])
        rates.append(Rate(number, sale.rate))
        if len(rates) > RATES_KEPT:
            del rates[0]

    def drop_rate(self, number: int) -> None:
        """Forget the rate of a settlement that was undone, or that a thief may have signed."""
        for direction, rates in self.rates.items():
            self.rates[direction] = [rate for rate in rates if rate.settlement != number]

    def booked_minor(self, day: str) -> int:
        """Return the fiat booked on a local day; only the day of the last settlement is known, any other gives 0."""
        return self.day_minor if self.day == day else 0

    def give_back(self, wire_sats: int, fiat_minor: int, *, day: str) -> None:
        """Take an amount off what was booked on this local day: a settlement was undone, in whole or in part."""
        self.volume_sats = max(0, self.volume_sats - wire_sats)
        if day == self.day:
            self.day_minor = max(0, self.day_minor - fiat_minor)

    def forget_fee(self, number: int) -> None:
        """Forget the fee of an undone settlement."""
        if self.fees_off is not None and self.fees_off.number == number:
            self.fees_off = None

    def reject(self, reason: str, at: int) -> None:
        """Note a rejection."""
        self.rejections.append(Rejection(at, reason))
        del self.rejections[:-REJECTIONS_KEPT]

    def dispense(self, sale: Sale, day: str) -> None:
        """Take a sale's banknotes out of the expected counts: from the first cassettes of their denomination on."""
        if sale.direction is not Direction.CASH_OUT or not self.cassettes:
            return
        for denomination, count in sale.bills:
            left = count
            for position, cassette in self.cassettes.items():
                if cassette.denomination == denomination and left and cassette.count:
                    taken = min(left, cassette.count)
                    left -= taken
                    self.cassettes[position] = cassette.holding(cassette.count - taken)
                    self._note_taken(position, taken, day)

    def set_back(self, now: int, today: str) -> None:
        """Move what was noted later than `now` to now: the clock had run ahead and was set right."""
        self.day = min(self.day, today)
        self.counter.set_back(now)
        self.rejections = [one._replace(at=min(one.at, now)) for one in self.rejections]
        self.fees_told_at = min(self.fees_told_at, now)
        self.cassettes_told_at = min(self.cassettes_told_at, now)
        self.cassettes = {
            position: replace(cassette, updated_at=min(cassette.updated_at, now), state_at=min(cassette.state_at, now))
            for position, cassette in self.cassettes.items()
        }
        days, self.taken = self.taken, {}
        for day, taken in days.items():
            counts = self.taken.setdefault(min(day, today), {})
            for position, notes in taken.items():
                counts[position] = counts.get(position, 0) + notes

    def put_back(self, sale: Sale, fiat_minor: int, reported_at: int) -> None:
        """Expect the banknotes of cash that was never dispensed again, the largest first.

        Which ones stayed in the machine nobody says, so where this is wrong a count books the difference. A cassette
        that was stated, set or counted after the sale is right already.
        """
        for position, notes in self._notes_worth(sale, fiat_minor, reported_at):
            cassette = self.cassettes[position]
            self.cassettes[position] = cassette.holding(cassette.count + notes)

    def take_again(self, sale: Sale, fiat_minor: int, reported_at: int) -> None:
        """Take away again what put_back() expected: the cash was dispensed after all."""
        for position, notes in self._notes_worth(sale, fiat_minor, reported_at):
            cassette = self.cassettes[position]
            self.cassettes[position] = cassette.holding(max(0, cassette.count - notes))

    def _notes_worth(self, sale: Sale, fiat_minor: int, reported_at: int) -> Iterator[tuple[str, int]]:
        """Yield a sale's banknotes worth this amount, the largest first, each with the first unchanged cassette of its
        kind.
        """
        if sale.direction is not Direction.CASH_OUT:
            return
        left_minor = fiat_minor
        worth = [(denomination_minor(value, sale.currency) or 0, value, count) for value, count in sale.bills]
        for note_minor, denomination, count in sorted(worth, key=lambda bill: (bill[0], bill[2]), reverse=True):
            notes = min(count, left_minor // note_minor) if note_minor > 0 else 0
            places = [
                place
                for place, cassette in self.cassettes.items()
                if cassette.denomination == denomination and cassette.updated_at <= reported_at
            ]
            if notes and places:
                left_minor -= notes * note_minor
                yield places[0], notes

    def _note_taken(self, position: str, notes: int, day: str) -> None:
        if day not in self.taken:
            oldest = days_before(day, PACE_DAYS - 1)
            self.taken = {kept: taken for kept, taken in self.taken.items() if oldest <= kept}
            self.taken[day] = {}
        of_day = self.taken[day]
        of_day[position] = of_day.get(position, 0) + notes

    def days_to_empty(self, position: str, today: str) -> int | None:
        """Return the whole days until a cassette is empty at last week's pace; None if nothing was taken out of it."""
        oldest = days_before(today, PACE_DAYS - 1)
        week = {day: taken for day, taken in self.taken.items() if oldest <= day <= today}
        notes = sum(taken.get(position, 0) for taken in week.values())
        if not notes:
            return None
        days = (date.fromisoformat(today) - date.fromisoformat(min(week))).days + 1
        return self.cassettes[position].count * days // notes
