"""Unread sales: what a machine says it sold and no book holds, because it cannot be read or the key may not speak.

What lives here: noting such a report beside the book, and how it goes again: by a good report of the same sale, or by
its operator's word. What does not: reading sales (core/atm/payloads/sale.py), keeping the list (it is part of what is
known of a machine, core/atm/fleet.py), telling the operator (messages/alerts.py). docs/protocol.md sections 3.1 and 6;
faults.md rows A20, F3.

Cash may have moved, so somebody must hear of it; nothing can be booked, so no entry is made of it.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.inputs import Signed
from nostrbot.money import format_minor
from nostrbot.refusals import Reason, Refusal

# Of one machine: unread ones by its own key, then by keys that may not speak. A thief of an old key crowds out no true
# one.
UNREAD_KEPT, SILENCED_KEPT = 100, 20
DEALT_KEPT = (
    100  # of one machine: reports that are off the list, so that nobody puts them there again by repeating them
)
SIGNER = "signer"  # the field that is wrong with whatever a key without standing says
DETAIL_CHARS_MAX = 256
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class UnreadSale(NamedTuple):
    """One report, accepted `at` (unix seconds).

    `field`: what of it is wrong, "content" where that is all of it, "signer" where the key may not speak;
    `payment_hash`: as far as it could be made out.
    """

    at: int
    event_id: str
    field: str
    detail: str
    payment_hash: str | None


def unread_sale(given: Signed, refusal: Refusal, at: int, *, is_silenced: bool = False) -> UnreadSale:
    """Return the note of an unreadable report. A refusal names the field and the rule, never the field's content.

    `is_silenced`: it is by a key that may not speak either, so it stands among those.
    """
    field, colon, _ = refusal.detail.partition(": ")
    is_named = bool(colon) and " " not in field
    detail = f"{Reason.MACHINE_INACTIVE}: {refusal.detail}" if is_silenced else refusal.detail
    wrong = SIGNER if is_silenced else field if is_named else "content"
    return UnreadSale(at, given.event.id, wrong, detail[:DETAIL_CHARS_MAX], _payment_hash(given.text))


def silenced_sale(given: Signed, sale: Sale, at: int) -> UnreadSale:
    """Return the note of a report by a key that may not speak: its machine is suspended, or has another key."""
    amount = (
        f"{sale.direction} of {format_minor(sale.fiat_minor, sale.currency)} {sale.currency}, {sale.wire_sats} sats"
    )
    return UnreadSale(at, given.event.id, SIGNER, f"{Reason.MACHINE_INACTIVE}: {amount}", sale.payment_hash)


def with_one_more(known: tuple[UnreadSale, ...], one: UnreadSale) -> tuple[UnreadSale, ...]:
    """Return the list with one more report, the newest last. A repeated report replaces its predecessor.

    A payment hash is whatever the reporter says: by it, a key without standing takes the place of its like only.
    """
    if any(each.event_id == one.event_id for each in known):
        return known
    return _bounded([*(each for each in known if not _is_again(one, each)), one])


def _is_again(one: UnreadSale, before: UnreadSale) -> bool:
    same_kind = (one.field == SIGNER) == (before.field == SIGNER)
    return same_kind and one.payment_hash is not None and one.payment_hash == before.payment_hash


def without_sale(known: tuple[UnreadSale, ...], payment_hash: str) -> tuple[UnreadSale, ...]:
    """Return the list without a sale that has come to a settlement."""
    return tuple(one for one in known if one.payment_hash != payment_hash)


def without_event(known: tuple[UnreadSale, ...], event_id: str) -> tuple[UnreadSale, ...]:
    """Return the list without a report that its operator dealt with."""
    return tuple(one for one in known if one.event_id != event_id)


def _bounded(sales: list[UnreadSale]) -> tuple[UnreadSale, ...]:
    silenced = [one for one in sales if one.field == SIGNER]
    unread = [one for one in sales if one.field != SIGNER]
    kept = {*silenced[-SILENCED_KEPT:], *unread[-UNREAD_KEPT:]}
    return tuple(one for one in sales if one in kept)


def _payment_hash(text: str) -> str | None:
    """Return the payment hash in an unreadable content; None if there is none to be made out."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    found = content.get("payment_hash") if isinstance(content, dict) else None
    return found if isinstance(found, str) and _HASH.fullmatch(found) else None


def unread_view(machine: str, sale: UnreadSale) -> dict[str, Any]:
    """Return a report as `worklist` shows it."""
    return {"machine": machine, "at": sale.at, "event_id": sale.event_id, "field": sale.field, "detail": sale.detail}


def in_turn(by_machine: Iterable[tuple[str, tuple[UnreadSale, ...]]], rows: int) -> list[tuple[str, UnreadSale]]:
    """Return this number of reports, each with its machine: machines take turns, each newest first.

    Those of keys without standing come last: who floods with the one hides nothing of another, nor of the key in force.
    """
    queues = [
        [(machine, sale) for sale in sorted(unread, key=lambda sale: (sale.field == SIGNER, -sale.at))]
        for machine, unread in by_machine
    ]
    ranked = [
        (queue[place][1].field == SIGNER, place, number)
        for number, queue in enumerate(queues)
        for place in range(len(queue))
    ]
    return [queues[number][place] for _, place, number in sorted(ranked)[:rows]]


def read_unread(rows: Iterable[list[Any]]) -> tuple[UnreadSale, ...]:
    """Read the list from its plain form."""
    return tuple(UnreadSale(*row) for row in rows)
