"""Receipts and acks: what an LP and a machine are told when a settlement is sealed.

What lives here: the data of a receipt and of an ack, and the list of messages one settlement owes. What does not: words
(core/replies.py), encryption and sending (outbox.py). docs/protocol.md sections 3.1 and 6. Everything follows from the
sealed entry and from names that never change, so a message made again after a crash is the same message.
"""

from dataclasses import dataclass

import orjson

from nostrbot.core.book import Book
from nostrbot.core.facts import Leg, SettlementFact, SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.replies import receipt_words
from nostrbot.core.states import LegStatus
from nostrbot.core.views import View
from nostrbot.money import format_minor
from nostrbot.nostr import kinds
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason

TAG = "aio-dca"  # how metrics know these payments (acceptance X12)


@dataclass(frozen=True, slots=True)
class Message:
    """One message the bot owes: to a key, of a kind, in a scheme; `name` is what makes it the same message again."""

    name: str
    kind: int
    to: str
    text: str
    scheme: Scheme
    in_reply_to: str | None


def receipt_view(book: Book, fact: SettlementProcessed, leg: Leg, *, entry: int, entry_hash: str) -> View:
    """The data of one receipt."""
    currency = fact.sale.currency

    def money(amount_minor: int | None) -> str | None:
        return None if amount_minor is None else format_minor(amount_minor, currency)

    return {
        "receipt": f"l{leg.number}",
        "settlement": f"s{fact.number}",
        "event_id": fact.event_id,
        "operator": book.handle,
        "machine": fact.machine,
        "sats": leg.sats,
        "fiat": money(leg.fiat_minor),
        "currency": currency,
        "rate": fact.sale.rate,
        "balance_before": money(leg.before_minor),
        "balance_after": money(leg.after_minor),
        "entry": entry,
        "entry_hash": entry_hash,
        "tag": TAG,
    }


def ack_text(event_id: str, payment_hash: str | None, status: str, number: int | None, error: str | None) -> str:
    """The content of an ack: the machine may stop repeating itself."""
    return orjson.dumps(
        {
            "type": "ack",
            "event": event_id,
            "payment_hash": payment_hash,
            "status": status,
            "settlement": None if number is None else f"s{number}",
            "error": error,
        }
    ).decode()


def ack(machine: str, event_id: str, scheme: Scheme, text: str, name: str) -> Message:
    """An ack, in the scheme the settlement came in."""
    return Message(name, kinds.SETTLEMENT, machine, text, scheme, event_id)


def settlement_messages(
    book: Book, fact: SettlementFact, *, sender: str, scheme: Scheme, entry: int, entry_hash: str
) -> list[Message]:
    """What a sealed settlement owes: the machine's ack, and a receipt for each completed leg of an LP."""
    error: Reason | None = fact.reason if isinstance(fact, SettlementRejected) else None
    text = ack_text(fact.event_id, fact.sale.payment_hash, fact.status, fact.number, error)
    messages = [ack(sender, fact.event_id, scheme, text, f"ack:{book.key}:{entry}")]
    if isinstance(fact, SettlementPending | SettlementRejected):
        return messages
    for leg in fact.legs:
        if leg.lp is None or leg.status is not LegStatus.COMPLETED:
            continue
        words = receipt_words(receipt_view(book, fact, leg, entry=entry, entry_hash=entry_hash))
        name = f"receipt:{book.key}:{leg.number}"
        lp = book.lps[leg.lp].pubkey
        messages.append(Message(name, kinds.DIRECT_MESSAGE, lp, words, Scheme.NIP04, None))
    return messages
