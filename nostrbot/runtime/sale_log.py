"""The sale log: the bot's log lines about sales, beside what the journal keeps.

What lives here: warnings of a machine's clock, of a rejected sale, and of a fee out of tolerance. What does not: what
operators are told (messages/alerts.py). Acceptance S17.
"""

from loguru import logger

from nostrbot.core.atm.settlements.facts import (
    SettlementFact,
    SettlementPending,
    SettlementProcessed,
    SettlementRejected,
)
from nostrbot.core.atm.settlements.fees import is_out_of_tolerance, tolerance_sats
from nostrbot.core.atm.states import Direction
from nostrbot.core.book import Book
from nostrbot.core.facts import Fact
from nostrbot.messages.alerts import SKEW_MAX_S
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.keys import npub


def log_settlement(book: Book, event: VerifiedEvent, fact: Fact, now: int) -> None:
    """Say in the log what a person should know of a sale that was just decided."""
    # Worth a warning; the sale is booked all the same, for the cash is gone.
    if event.created_at > now + SKEW_MAX_S:
        logger.warning("machine {} is {} s ahead of my clock", npub(event.pubkey)[:16], event.created_at - now)
    if isinstance(fact, SettlementRejected):
        logger.warning("{} s{} from {} is rejected: {}", book.handle, fact.number, fact.machine, fact.reason)
    if isinstance(fact, SettlementProcessed | SettlementPending):
        _warn_of_fees(book, event.pubkey, fact)


def _warn_of_fees(book: Book, machine: str, fact: SettlementFact) -> None:
    """Acceptance S17: a fee out of tolerance is worth a line with all its numbers."""
    sale, settings = fact.sale, book.machines[fact.machine]
    if not is_out_of_tolerance(fact.fee_mismatch_sats, sale.principal_sats):
        return
    cash_in = sale.direction is Direction.CASH_IN
    logger.warning(
        "fee mismatch: s{} of {}: fee_sats={} expected={} delta={} tolerance={} principal={} "
        "platform_ppm={} operator_ppm={} tx_type={} machine={}",
        fact.number,
        book.handle,
        sale.fee_sats,
        fact.platform_fee_sats + fact.operator_fee_sats,
        fact.fee_mismatch_sats,
        tolerance_sats(sale.principal_sats),
        sale.principal_sats,
        book.platform_ppm(cash_in=cash_in),
        settings.cash_in_ppm if cash_in else settings.cash_out_ppm,
        sale.direction,
        npub(machine)[:16],
    )
