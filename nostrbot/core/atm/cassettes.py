"""Cassettes: what a machine states of them, what its operator sets and counts, and what is sent to the machine.

What lives here: deciding a machine's statement, and the operator's commands. What does not: banknotes that leave with a
sale (core/atm/till.py), reading a statement (core/atm/payloads/cassette_state.py), booking a variance
(core/atm/booking.py). docs/protocol.md sections 3.4, 4, 6; acceptance T5-T14.

Only a machine's own statement creates a cassette: how many there are is a matter of its hardware. Statements may come
late or again, so each cassette goes by the newest that names it, in whatever order they come (faults.md rows 11, 12).
"""

from collections.abc import Mapping
from dataclasses import replace

from nostrbot.core.atm.facts import CassettesCounted, CassetteSet, CassettesPublished, CassettesStated
from nostrbot.core.atm.payloads.cassette_state import Stated, read_statement
from nostrbot.core.atm.payloads.sale import CASSETTES_MAX
from nostrbot.core.atm.payloads.subject import is_dated_ahead, is_newer
from nostrbot.core.atm.records import ATM_BOOTSTRAP, Cassette, Machine
from nostrbot.core.atm.registry import find_machine, find_speaker
from nostrbot.core.atm.till import in_order
from nostrbot.core.book import Book
from nostrbot.core.commands import arguments
from nostrbot.core.commands.arguments import Wanted
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import SOUND
from nostrbot.money import denomination_minor, unit_minor
from nostrbot.refusals import Reason, Refusal

COUNTED_MAX = (
    10**15
)  # whole units of fiat: what a count may find too much or too little; minor units then fit in an entry


def decide_statement(book: Book, given: Signed, at: int, rules: int) -> tuple[Fact, ...] | Refusal:
    """Decide a cassette statement that arrived `at`: it fills the operator's columns and the machine's (T9).

    Refuses with UNKNOWN_AUTHOR, MACHINE_INACTIVE, DATED_AHEAD, INVALID, and STALE when it holds nothing that is new.
    """
    machine = find_speaker(book, given.author)
    if isinstance(machine, Refusal):
        return machine
    heard_at = at if given.heard is None else given.heard
    if is_dated_ahead(given.created_at, heard_at):
        return Refusal(Reason.DATED_AHEAD, f"dated {given.created_at - heard_at} s ahead")
    statement = read_statement(given.text)
    if isinstance(statement, Refusal):
        return statement
    if any(denomination_minor(stated.denomination, machine.fiat) is None for stated in statement):
        return Refusal(Reason.INVALID, f"positions.denomination: finer than {machine.fiat} goes")
    known = book.tills[machine.handle].cassettes
    if len(known.keys() | {stated.position for stated in statement}) > CASSETTES_MAX:
        return Refusal(Reason.INVALID, "more cassettes than any machine has")
    news = [stated for stated in statement if _is_news(known.get(stated.position), given)]
    if not news:
        return Refusal(Reason.STALE, "a statement as new or newer is known")
    news.sort(key=lambda stated: in_order(stated.position))
    return (CassettesStated(machine.handle, tuple(_as_stated(stated, given, at) for stated in news)),)


def _is_news(cassette: Cassette | None, given: Signed) -> bool:
    if cassette is None:
        return True
    return is_newer(given.created_at, given.id, cassette.state_at, cassette.state_event_id)


def _as_stated(stated: Stated, given: Signed, at: int) -> Cassette:
    return Cassette(
        position=stated.position,
        denomination=stated.denomination,
        count=stated.notes,
        state_denomination=stated.denomination,
        state_count=stated.notes,
        state_at=given.created_at,
        state_event_id=given.id,
        updated_by=ATM_BOOTSTRAP,
        updated_at=at,
    )


def set_cassette(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Change what is expected in a cassette; what is not named stays, and so does what the machine stated (T6, T7)."""
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    known = book.tills[machine.handle].cassettes
    cassette = known.get(order.args["position"])
    if cassette is None:
        return _no_such_cassette(machine, known)
    changes = {name: order.args[name] for name in ("denomination", "count") if name in order.args}
    if "denomination" in changes and denomination_minor(changes["denomination"], machine.fiat) is None:
        return CommandRefused(Code.BAD_ARGUMENT, f"denomination is finer than {machine.fiat} goes")
    if replace(cassette, **changes) == cassette:
        return ()
    changed = replace(cassette, **changes, updated_by=order.author, updated_at=order.at)
    return (CassetteSet(machine.handle, changed),)


def count_cassettes(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Note what was counted; what is more or less than expected is booked as one variance."""
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    known = book.tills[machine.handle].cassettes
    counts = _read_counts(order, machine, known)
    if isinstance(counts, CommandRefused):
        return counts
    variance_minor = sum(
        (count - known[place].count) * (denomination_minor(known[place].denomination, machine.fiat) or 0)
        for place, count in counts.items()
    )
    if order.rules >= SOUND and abs(variance_minor) > COUNTED_MAX * unit_minor(machine.fiat):
        return CommandRefused(
            Code.TOO_MUCH,
            f"{machine.handle} would expect more cash than there is: `cassette set {machine.handle} <position> "
            "count=<notes>` first",
        )
    counted = tuple(
        replace(known[place], count=counts[place], updated_by=order.author, updated_at=order.at)
        for place in sorted(counts, key=in_order)
    )
    return (CassettesCounted(machine.handle, machine.fiat, counted, variance_minor),)


def _read_counts(order: Order, machine: Machine, known: Mapping[str, Cassette]) -> dict[str, int] | CommandRefused:
    counts: dict[str, int] = {}
    read_count = arguments.by_rules(arguments.note_count, order.rules)
    for place, text in order.command.rest:
        count = read_count(text)
        if place not in known:
            return _no_such_cassette(machine, known)
        if isinstance(count, Wanted):
            return CommandRefused(Code.BAD_ARGUMENT, f"cassette {place} must be {count.what}")
        if place in counts:
            return CommandRefused(Code.BAD_ARGUMENT, f"cassette {place} is given twice")
        counts[place] = count
    if not counts:
        return CommandRefused(Code.MISSING_ARGUMENT, f"say what you counted. Say: {order.command.spec.usage}")
    return counts


def publish_cassettes(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Send a machine what all its cassettes are expected to hold (T14)."""
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    cassettes = tuple(book.tills[machine.handle].cassettes.values())
    if not cassettes:
        return _no_such_cassette(machine, {})
    told_at = max(order.at, book.tills[machine.handle].cassettes_told_at + 1)
    if machine.pubkey in book.freed:
        return CommandRefused(
            Code.KEY_TAKEN, f"the platform took the key of {machine.handle} from you: nothing is sent to it"
        )
    return (CassettesPublished(machine.handle, machine.pubkey, told_at, cassettes),)


def _no_such_cassette(machine: Machine, known: Mapping[str, Cassette]) -> CommandRefused:
    if not known:
        return CommandRefused(
            Code.NOT_FOUND, f"{machine.handle} has not stated its cassettes yet: it does so by itself"
        )
    return CommandRefused(Code.NOT_FOUND, f"there is no such cassette: {machine.handle} has {', '.join(known)}")
