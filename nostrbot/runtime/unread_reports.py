"""Unread reports: the list that an operator finds in `worklist`, kept beside the books.

What lives here: what arrives, is booked or dismissed, put into the list, with the rows of the commit that keeps it.
What does not: what the list is (core/atm/unread.py), and when (runtime/bookkeeper.py). docs/protocol.md sections 3.1
and 6.
"""

from collections.abc import MutableMapping
from dataclasses import replace

import orjson

from nostrbot.core.atm.fleet import UNSEEN, MachineStatus
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.registry import find_speaker
from nostrbot.core.atm.settlements.facts import SettlementPending, SettlementProcessed
from nostrbot.core.atm.unread import (
    DEALT_KEPT,
    UnreadSale,
    silenced_sale,
    unread_sale,
    unread_view,
    with_one_more,
    without_event,
    without_sale,
)
from nostrbot.core.book import Book
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Signed
from nostrbot.messages.receipts import ack_text
from nostrbot.messages.replies import answer, refusal
from nostrbot.refusals import Refusal
from nostrbot.store.batch import Batch, RefusalRow

NO_SUCH_REPORT = CommandRefused(Code.NOT_FOUND, "there is no such report: `worklist` lists those that no book holds")


class UnreadReports:
    """The lists of all machines: a part of what is known of each."""

    def __init__(self, sightings: MutableMapping[tuple[str, str], MachineStatus]) -> None:
        """`sightings`: what is known of machines, by book and name; shared with whoever else takes note of them."""
        self._sightings = sightings

    def note(self, book: Book, given: Signed, sale: Sale | Refusal, refused: Refusal, *, now: int, batch: Batch) -> str:
        """Note a report that comes to no entry; returns the text of its ack. `sale`: as far as it could be read."""
        event = given.event
        batch.refusals.append(RefusalRow(now, refused.reason, event.pubkey, event.id, refused.detail[:256]))
        if isinstance(sale, Refusal):
            is_silenced = isinstance(find_speaker(book, given.author), Refusal)
            note = unread_sale(given, refused, now, is_silenced=is_silenced)
            text = ack_text(event.id, None, "invalid", None, refused.reason)
        else:
            note = silenced_sale(given, sale, now)
            text = ack_text(event.id, sale.payment_hash, "rejected", None, refused.reason)
        machine = book.machine_of_key[given.author]
        if event.id not in self._seen(book, machine).dealt:  # relays may hand on for ever what was dealt with
            self._keep(book.key, machine, with_one_more(self._of(book, machine), note), batch)
        return text

    def forget(self, book: Book, fact: Fact, batch: Batch) -> None:
        """Forget a report whose sale has come to a settlement, by a good report or by its operator's word.

        Of that machine alone: a payment hash is whatever a report says, and one machine's must not hide another's.
        """
        if isinstance(fact, SettlementProcessed | SettlementPending):
            known = self._of(book, fact.machine)
            self._keep(book.key, fact.machine, without_sale(known, fact.sale.payment_hash), batch, are_dealt=True)

    def dismiss(self, book: Book, said: Command, batch: Batch) -> str:
        """Note that the operator has dealt with a report; returns the answer. No entry: nothing is booked."""
        before = {machine: self._of(book, machine) for machine in book.machines}
        after = {machine: without_event(unread, said.args["event"]) for machine, unread in before.items()}
        if after == before:
            return refusal(said.verb, NO_SUCH_REPORT, json=said.json)
        if not said.preview:
            for machine, unread in after.items():
                self._keep(book.key, machine, unread, batch, are_dealt=True)
        left = [unread_view(machine, sale) for machine, unread in after.items() for sale in unread]
        return answer(said.verb, {"unreadable": left}, json=said.json, preview=said.preview)

    def _seen(self, book: Book, machine: str) -> MachineStatus:
        return self._sightings.get((book.key, machine), UNSEEN)

    def _of(self, book: Book, machine: str) -> tuple[UnreadSale, ...]:
        return self._seen(book, machine).unread

    def _keep(
        self, key: str, machine: str, unread: tuple[UnreadSale, ...], batch: Batch, *, are_dealt: bool = False
    ) -> None:
        """Keep a machine's list; `are_dealt`: reports no longer on it were dealt with, and do not come back."""
        place = (key, machine)
        before = self._sightings.get(place, UNSEEN)
        if unread != before.unread:
            gone = [one.event_id for one in before.unread if one not in unread] if are_dealt else []
            dealt = (*before.dealt, *gone)[-DEALT_KEPT:]
            self._sightings[place] = replace(before, unread=unread, dealt=dealt)
            batch.sightings[place] = orjson.dumps(self._sightings[place].plain())
