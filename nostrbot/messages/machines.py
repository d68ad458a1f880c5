"""Messages to machines: what a machine is told by the bot, each an addressable event.

What lives here: fact -> its `d` tag and its content. What does not: when it is owed (messages/receipts.py), encryption
and sending (runtime/outbox.py). docs/protocol.md section 4.
"""

from typing import NamedTuple

import orjson

from nostrbot.core.atm.facts import CassettesPublished, FeesPublished


class MachineNews(NamedTuple):
    """A content for a machine, and the `d` tag under which it replaces the one before."""

    subject: str
    text: str


def machine_message(fact: FeesPublished | CassettesPublished) -> MachineNews:
    """Return what a fact tells a machine."""
    match fact:
        case FeesPublished():
            content = {"cash_in_ppm": fact.cash_in_ppm, "cash_out_ppm": fact.cash_out_ppm}
            return MachineNews(f"bitspire-fees:{fact.pubkey}", orjson.dumps(content).decode())
        case CassettesPublished():
            positions = {
                cassette.position: {"denomination": cassette.denomination, "count": cassette.count}
                for cassette in fact.cassettes
            }
            return MachineNews(f"bitspire-cassettes:{fact.pubkey}", orjson.dumps({"positions": positions}).decode())
