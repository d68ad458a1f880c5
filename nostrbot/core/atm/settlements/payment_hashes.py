"""Payment hashes: which settlement one belongs to, and what becomes of others that have it.

What lives here: whether a hash is free for a sale, and the facts that follow where several have it. What does not: the
other rules (core/atm/settlements/rules.py) and looking up who has it (runtime/prefetch.py, audit/memory.py).
docs/protocol.md section 3.1; faults.md row A13.

A hash is not secret before it is paid, so each machine has its own set: a report of one machine takes nothing from
another. A preimage is proof: the sale that has it has the hash for the whole book, and every other one is in doubt.
"""

from dataclasses import replace

from nostrbot.core.atm.dossier import Settlement, as_it_stands
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.recall import Booked
from nostrbot.core.atm.settlements.compromise import freeze
from nostrbot.core.atm.settlements.facts import PaymentHashShared, SettlementFrozen
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.book import Book
from nostrbot.core.rules import SOUND

_NOT_SHARED_OUT = frozenset({SettlementStatus.PENDING, SettlementStatus.ERRORED})


def find_same_sale(book: Book, machine: str, signer: str, sale: Sale, rules: int) -> Booked | None:
    """Return the accepted settlement that a report repeats: every field is equal.

    An earlier report may be signed by another key of the same machine: with a new key it repeats what has no ack.
    """
    if sale.machine != signer:
        return None
    for earlier in book.recall.payments.get(sale.payment_hash, {}).values():
        is_own = rules >= SOUND and earlier.machine == machine
        if (replace(earlier.sale, machine=signer) if is_own else earlier.sale) == sale:
            return earlier
    return None


def is_taken(book: Book, machine: str, sale: Sale, rules: int) -> bool:
    """Return whether the payment hash of a sale with new content belongs to another settlement."""
    earlier = book.recall.payments.get(sale.payment_hash, {})
    if rules < SOUND:
        return bool(earlier)
    return any(_takes(settlement, machine, sale) for settlement in _in_force(book, sale.payment_hash))


def _takes(settlement: Settlement, machine: str, sale: Sale) -> bool:
    """Return whether a settlement keeps its hash from a sale."""
    if settlement.sale.preimage is not None:
        return True  # it was proven first
    if settlement.machine != machine:
        return False
    if sale.preimage is None:
        return True
    # The machine contradicts itself, unless nothing was shared out yet, or it was another key that said so.
    return settlement.status not in _NOT_SHARED_OUT and settlement.sale.machine == sale.machine


def share_hash(
    book: Book, number: int, machine: str, sale: Sale, rules: int
) -> tuple[PaymentHashShared | SettlementFrozen, ...]:
    """Return what follows when settlement `number` is accepted: others with its payment hash are noted, or frozen if
    it is proven.
    """
    if rules < SOUND:
        return ()
    others = _in_force(book, sale.payment_hash)
    if not others:
        return ()
    is_proven = sale.preimage is not None
    told = PaymentHashShared(number, machine, tuple(other.number for other in others), is_proven)
    frozen = tuple(freeze(other) for other in others if is_proven and not other.is_frozen)
    return (told, *frozen)


def _in_force(book: Book, payment_hash: str) -> list[Settlement]:
    """Return the settlements with a payment hash that may still be true: those not undone as a whole."""
    earlier = book.recall.payments.get(payment_hash, {})
    settlements = [as_it_stands(book.recall.dossiers[number]) for number in earlier]
    return [one for one in settlements if one.status is not SettlementStatus.REFUNDED or one.legs_in_force]
