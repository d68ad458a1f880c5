"""Receipts and acks: what people and machines are told when an entry is sealed.

What lives here: the data of a receipt and of an ack, and the list of messages one entry owes. What does not: words
(messages/words/receipts.py), encryption and sending (runtime/outbox.py). docs/protocol.md sections 3.1, 4 and 6.
Everything follows from the sealed entry and from names that never change, so a message made again after a crash is the
same message.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from nostrbot.core.atm.facts import CassettesPublished, FeesPublished, LpPaid, MachineFreed, PartyMoved, PaymentVoided
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementCorrected,
    SettlementFact,
    SettlementFrozen,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
    SettlementRetried,
)
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import ROOT, Book
from nostrbot.core.facts import Fact
from nostrbot.core.plain import View
from nostrbot.core.platform.facts import BotRotated
from nostrbot.messages.machines import machine_message
from nostrbot.messages.words.machines import shared_hash_notice
from nostrbot.messages.words.plans import shortage_notice, unsettled_notice
from nostrbot.messages.words.receipts import (
    freed_words,
    frozen_words,
    moved_void_words,
    payment_void_words,
    receipt_words,
    rotated_words,
    void_words,
)
from nostrbot.money import format_minor
from nostrbot.nostr import kinds
from nostrbot.nostr.keys import npub
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason

TAG = "aio-dca"  # how metrics know these payments (acceptance X12)

# Facts that somebody is told of.
_SPEAKING = (
    *(SettlementProcessed, SettlementPending, SettlementRejected, SettlementCorrected, SettlementRefunded),
    *(
        SettlementRetried,
        SettlementFrozen,
        LpPaid,
        PartyMoved,
        PaymentVoided,
        MachineFreed,
        FeesPublished,
        CassettesPublished,
        BotRotated,
    ),
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message the bot owes: to a key, of a kind, in a scheme; `name` is what makes it the same message again.

    `subject`: the d tag of an addressable event; `dated`: its date, if that is not when it was owed; `outdated`: a
    newer message on the same subject exists, so relays would refuse this one.
    """

    name: str
    kind: int
    to: str
    text: str
    scheme: Scheme
    in_reply_to: str | None
    subject: str | None = None
    dated: int | None = None
    outdated: bool = False


class Payment(NamedTuple):
    """The payment that a leg is part of, as its receipt names it: a settlement, or the operator's own sats (number
    None).
    """

    machine: str
    currency: str
    rate: str
    number: int | None
    event_id: str | None


def payment_of(fact: Fact) -> Payment | None:
    """Return the payment that the legs of a fact are part of; None for a fact without new legs."""
    match fact:
        case SettlementProcessed() | SettlementCorrected():
            return Payment(fact.machine, fact.sale.currency, fact.sale.rate, fact.number, fact.event_id)
        case SettlementRetried():
            return Payment(fact.machine, fact.sale.currency, fact.sale.rate, fact.number, None)
        case PartyMoved() if fact.lp is not None:
            return Payment(fact.machine, fact.currency, "0", None, None)
        case LpPaid():
            return Payment(fact.machine, fact.currency, fact.rate, None, None)
        case _:
            return None


def receipt_view(
    book: Book, paid: Payment, leg: Leg, *, entry: int, entry_hash: str, corrects: Iterable[int] = ()
) -> View:
    """Return the data of one receipt; `corrects`: the numbers of the legs it replaces."""

    def money(amount_minor: int | None) -> str | None:
        return None if amount_minor is None else format_minor(amount_minor, paid.currency)

    return {
        "receipt": f"l{leg.number}",
        "status": leg.status,
        "settlement": None if paid.number is None else f"s{paid.number}",
        "event_id": paid.event_id,
        "operator": book.handle,
        "machine": paid.machine,
        "sats": leg.sats,
        "fiat": money(leg.fiat_minor),
        "currency": paid.currency,
        "rate": paid.rate,
        "balance_before": money(leg.before_minor),
        "balance_after": money(leg.after_minor),
        "entry": entry,
        "entry_hash": entry_hash,
        "corrects": [f"l{number}" for number in corrects],
        "tag": TAG,
    }


def ack_text(event_id: str, payment_hash: str | None, status: str, number: int | None, error: str | None) -> str:
    """Return the content of an ack: after it the machine may stop repeating itself."""
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
    """Return an ack, in the scheme the settlement came in."""
    return Message(name, kinds.SETTLEMENT, machine, text, scheme, event_id)


class Sealed(NamedTuple):
    """The parts of an entry that its messages are made from.

    Attributes:
        at: when its input was heard, the date of its messages: the entry's time, or before it where the clock had run
            ahead.
        kind: of the event it came from, 0 for an observation.
    """

    book: str
    seq: int
    at: int
    hash: str
    facts: tuple[Fact, ...]
    kind: int
    sender: str
    scheme: Scheme


def owes_messages(facts: tuple[Fact, ...]) -> bool:
    """Whether an entry with these facts owes messages besides the answer to its command."""
    has_notice = any(notice(facts) is not None for notice in (shortage_notice, unsettled_notice, shared_hash_notice))
    return has_notice or any(isinstance(fact, _SPEAKING) for fact in facts)


def entry_messages(book: Book, entry: Sealed) -> list[Message]:
    """Return the messages that a sealed entry owes: the machine's ack, LPs' receipts, and messages to machines."""
    messages: list[Message] = []
    for fact in entry.facts:
        if isinstance(fact, SettlementFact) and entry.kind == kinds.SETTLEMENT:
            error: Reason | None = fact.reason if isinstance(fact, SettlementRejected) else None
            text = ack_text(fact.event_id, fact.sale.payment_hash, fact.status, fact.number, error)
            messages.append(ack(entry.sender, fact.event_id, entry.scheme, text, f"ack:{book.key}:{entry.seq}"))
        if isinstance(fact, FeesPublished | CassettesPublished):
            messages.append(_to_machine(book, fact, entry))
        messages.extend(_receipts(book, fact, entry))
        if isinstance(fact, PaymentVoided):
            messages.extend(_payment_voided(book, fact, entry))
        if isinstance(fact, MachineFreed) and book.key != ROOT:
            name, words = f"freed:{book.key}:{entry.seq}", freed_words(npub(fact.pubkey), fact.machine)
            messages.append(direct_message(book.operator, name, words, book.alert_plan.scheme))
        if isinstance(fact, BotRotated):
            messages.extend(_to_everybody(book, fact, entry))
    messages.extend(_frozen(book, entry))
    for about, notice in (
        ("short", shortage_notice(entry.facts)),
        ("unsettled", unsettled_notice(entry.facts)),
        ("shared", shared_hash_notice(entry.facts)),
    ):
        if notice is not None:
            name = f"{about}:{book.key}:{entry.seq}"
            messages.append(direct_message(book.operator, name, notice, book.alert_plan.scheme))
    return messages


def _to_machine(book: Book, fact: FeesPublished | CassettesPublished, entry: Sealed) -> Message:
    """Return a message to a machine. An outdated one keeps its place: messages are counted by their places."""
    subject, text = machine_message(fact)
    till = book.tills[fact.machine]
    newest_at = till.fees_told_at if isinstance(fact, FeesPublished) else till.cassettes_told_at
    return Message(
        f"told:{book.key}:{entry.seq}:{subject}",
        kinds.MACHINE_STATE,
        fact.pubkey,
        text,
        Scheme.NIP44,
        None,
        subject=subject,
        dated=fact.told_at,
        outdated=fact.told_at < newest_at,
    )


def _receipts(book: Book, fact: Fact, entry: Sealed) -> Iterator[Message]:
    paid = payment_of(fact)
    before = _voided_by_lp(fact)
    if paid is not None:
        for leg in fact.legs:  # type: ignore[union-attr]
            if leg.lp is None or leg.status is not LegStatus.COMPLETED:
                continue
            corrects = before.pop(leg.lp, ())
            view = receipt_view(book, paid, leg, entry=entry.seq, entry_hash=entry.hash, corrects=corrects)
            yield to_lp(book, leg.lp, f"receipt:{book.key}:{leg.number}", receipt_words(view), entry)
    before.pop(None, None)
    for lp, numbers in before.items():
        assert lp is not None
        assert isinstance(fact, SettlementCorrected | SettlementRefunded | PartyMoved)
        where = f"{fact.machine}, {book.handle}"
        if isinstance(fact, PartyMoved):
            words = moved_void_words(where, numbers, entry=entry.seq, entry_hash=entry.hash)
            yield to_lp(book, lp, f"void:{book.key}:{entry.seq}:{numbers[0]}", words, entry)
            continue
        words = void_words(where, fact.number, numbers, entry=entry.seq, entry_hash=entry.hash)
        yield to_lp(book, lp, f"void:{book.key}:{entry.seq}:{numbers[0]}", words, entry)


def _voided_by_lp(fact: Fact) -> dict[str | None, list[int]]:
    """Return the numbers of the legs that a fact voids, by their LP, in order; those of nobody under None."""
    voided = fact.voided if isinstance(fact, SettlementCorrected | SettlementRefunded | PartyMoved) else ()
    before: dict[str | None, list[int]] = {}
    for leg in voided:
        if leg.sats:
            before.setdefault(leg.lp, []).append(leg.number)
    return before


def corrected_by(fact: Fact, leg: Leg) -> list[str]:
    """Return the receipts that the receipt of `leg` replaces, like `l3`: all of its LP, at the LP's first new leg."""
    legs = () if payment_of(fact) is None else fact.legs  # type: ignore[union-attr]
    told = (one.number for one in legs if one.lp == leg.lp and one.status is LegStatus.COMPLETED)
    is_first = next(told, None) == leg.number
    return [f"l{number}" for number in _voided_by_lp(fact).get(leg.lp, ())] if is_first else []


def _payment_voided(book: Book, fact: PaymentVoided, entry: Sealed) -> Iterator[Message]:
    where = f"{fact.machine}, {book.handle}"
    for leg in fact.voided:
        assert leg.lp is not None, "a payment is an LP's"
        cash = f"{format_minor(leg.fiat_minor or 0, fact.currency)} {fact.currency}"
        given_back = f"{cash} are yours again, {leg.sats} sats are not"
        words = payment_void_words(where, leg.number, given_back, entry=entry.seq, entry_hash=entry.hash)
        yield to_lp(book, leg.lp, f"void:{book.key}:{entry.seq}:{leg.number}", words, entry)


def _frozen(book: Book, entry: Sealed) -> Iterator[Message]:
    """Return one message for each LP that has sats in what an entry froze."""
    frozen = [fact for fact in entry.facts if isinstance(fact, SettlementFrozen)]
    parts: dict[str, list[int]] = {}
    for fact in frozen:
        for part in fact.parts:
            parts.setdefault(part.lp, []).append(part.sats)
    for lp, sats in parts.items():
        where = f"{frozen[0].machine}, {book.handle}"
        words = frozen_words(where, sum(sats), len(sats), entry=entry.seq, entry_hash=entry.hash)
        yield to_lp(book, lp, f"frozen:{book.key}:{entry.seq}:{lp}", words, entry)


def _to_everybody(book: Book, fact: BotRotated, entry: Sealed) -> Iterator[Message]:
    """Tell everybody who writes to the bot its new key. Whoever is in several books gets one message: all are the
    same.
    """
    name, words = f"rotated:{fact.new}", rotated_words(npub(fact.old), npub(fact.new))
    if book.key != ROOT:
        yield direct_message(book.operator, name, words, book.alert_plan.scheme)
    for handle in book.lps:
        yield to_lp(book, handle, name, words, entry)


def to_lp(book: Book, handle: str, name: str, text: str, entry: Sealed) -> Message:
    """Return a message to an LP about an entry, in the scheme the LP used when it was sealed."""
    lp = book.lps[handle]
    return direct_message(lp.pubkey, name, text, lp.scheme_before(entry.seq))


def direct_message(to: str, name: str, text: str, scheme: Scheme, *, in_reply_to: str | None = None) -> Message:
    """Return a message to a person; `in_reply_to`: the command it answers, None if nobody asked for it."""
    kind = kinds.GIFT_WRAP if scheme is Scheme.NIP17 else kinds.DIRECT_MESSAGE
    return Message(name, kind, to, text, scheme, in_reply_to)
