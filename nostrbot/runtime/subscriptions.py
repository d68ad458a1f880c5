"""Subscriptions: what the bot wants to hear of, by name.

What lives here: which events are asked for, from which moment on, and which of it the bot cannot do without. What does
not: asking relays for it (relays/), and what is decided of it (runtime/bookkeeper.py). docs/protocol.md section 2.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from nostrbot.core.engine import COMMAND_AGE_MAX_S
from nostrbot.nostr import kinds
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.giftwrap import BACKDATED_MAX_S
from nostrbot.relays.recipients.relay_lists import LISTS
from nostrbot.relays.watch import OVERLAP_S, Subscription

AUTHORS_PER_FILTER_MAX: Final = 500  # relays refuse larger filters
COMMAND_LOOK_BACK_S: Final = COMMAND_AGE_MAX_S  # older commands are refused anyway
WRAP_OVERLAP_S: Final = BACKDATED_MAX_S + OVERLAP_S
LISTS_LOOK_BACK_S: Final = (
    2**40
)  # a relay may be given somebody's list years after it was written; there are two a person
# What machines say comes by subscriptions with these names.
OF_MACHINES: Final = ("settlements-", "states-")


def wanted_subscriptions(
    bot: str, *, machines: Iterable[str], people: Iterable[str], now: int
) -> dict[str, Subscription]:
    """Ask for commands from anyone (a stranger is counted), for reports of these machines, and where these people read.

    The essential subscriptions come first: a relay that takes few subscriptions takes the first.
    """
    to_bot = frozenset({bot})
    commands = Filter(kinds={kinds.DIRECT_MESSAGE}, p_tags=to_bot)
    by_machine = list(_chunks(machines))
    wanted = {}
    for start, authors in by_machine:
        reports = Filter(kinds={kinds.SETTLEMENT}, authors=authors, p_tags=to_bot)
        wanted[f"settlements-{start}"] = Subscription(filters=(reports,), stored=False)
    wanted["commands"] = Subscription(filters=(commands,), stored=True, since=now - COMMAND_LOOK_BACK_S)
    # Wraps are dated back by up to two days, on purpose; whether a message is new is judged by what is inside.
    wanted["wraps"] = Subscription(
        filters=(Filter(kinds={kinds.GIFT_WRAP}, p_tags=to_bot),),
        stored=True,
        since=now - COMMAND_LOOK_BACK_S,
        overlap_s=WRAP_OVERLAP_S,
        essential=False,
    )
    # Without `since`: a command that comes today with an older date is told that it is too old.
    wanted["misdated"] = Subscription(filters=(commands,), stored=False, essential=False)
    for start, authors in by_machine:
        # Addressable: relays keep the newest of each, whenever it was published.
        states = Filter(kinds={kinds.MACHINE_STATE, kinds.TELEMETRY}, authors=authors)
        wanted[f"states-{start}"] = _kept(states)
    for start, authors in _chunks(people):
        wanted[f"lists-{start}"] = _kept(Filter(kinds=LISTS, authors=authors))
    return wanted


def _kept(one: Filter) -> Subscription:
    return Subscription(filters=(one,), stored=True, overlap_s=LISTS_LOOK_BACK_S, essential=False)


def _chunks(authors: Iterable[str]) -> Iterable[tuple[int, Sequence[str]]]:
    """Yield as many authors as fit in a filter, and how many came before them."""
    ordered = sorted(authors)
    for start in range(0, len(ordered), AUTHORS_PER_FILTER_MAX):
        yield start, ordered[start : start + AUTHORS_PER_FILTER_MAX]
