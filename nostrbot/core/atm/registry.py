"""The registry: which machines an operator has, which LPs at which of them, and what each LP prefers.

What lives here: the commands that change it. What does not: LPs' cash (core/atm/deposits.py). docs/protocol.md section
6; acceptance M1-M11, L1-L13. "Not yours" and "does not exist" get the same answer, because a book knows only its own.
"""

from dataclasses import replace
from typing import Any

from nostrbot.core.atm.facts import (
    FeesPublished,
    LpEnrolled,
    LpSwitched,
    MachineAdded,
    MachineChanged,
    MachineFreed,
    PlatformFeeSet,
    PreferencesCarried,
    PreferencesSet,
)
from nostrbot.core.atm.records import Enrolment, Guard, Machine, Preferences
from nostrbot.core.atm.states import Mode, Trust
from nostrbot.core.book import ROOT, Book, Lp
from nostrbot.core.commands.amounts import read_limit
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Part
from nostrbot.core.facts import Fact
from nostrbot.core.platform.roles import find_bar
from nostrbot.core.rules import SOUND
from nostrbot.refusals import Reason, Refusal

# One sale is one entry with a leg for each LP there, and a slot of fixed mode one with a leg for each place: entries,
# and the messages that follow from them, stay within what a verifier reads (audit/examination.py).
LPS_AT_MACHINE_MAX = 1_000
SEATS_MAX = 10_000
MACHINES_MAX = 10_000


def find_machine(book: Book, handle: str) -> Machine | CommandRefused:
    """Find a machine by its name."""
    machine = book.machines.get(handle)
    return machine or CommandRefused(Code.NOT_FOUND, f"there is no machine {handle}: `machine list` shows yours")


def find_speaker(book: Book, pubkey: str) -> Machine | Refusal:
    """Find the machine of this key, if it may speak: neither it nor its operator is suspended, nor the key rotated
    out.
    """
    handle = book.machine_of_key.get(pubkey)
    if handle is None:
        return Refusal(Reason.UNKNOWN_AUTHOR, "no machine of this book")
    machine = book.machines[handle]
    if not (book.active and machine.active and machine.pubkey == pubkey) or pubkey in book.freed:
        return Refusal(Reason.MACHINE_INACTIVE, f"{handle} is suspended, or has another key")
    return machine


def _find_bar(book: Book, order: Order, part: Part) -> CommandRefused | None:
    """Return why the named key may not get this part; older rules allowed it."""
    return find_bar(book, order.args["npub"], part) if order.rules >= SOUND else None


def find_lp(book: Book, handle: str) -> Lp | CommandRefused:
    """Find an LP by its name."""
    return book.lps.get(handle) or CommandRefused(Code.NOT_FOUND, f"there is no LP {handle}: `lp list` shows yours")


def add_machine(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Enrol a machine; it is active at once (acceptance M2)."""
    args = order.args
    if args["name"] in book.machines:
        return CommandRefused(Code.NAME_TAKEN, f"there is already a machine {args['name']}: choose another name")
    if order.rules >= SOUND and len(book.machines) >= MACHINES_MAX:
        return CommandRefused(Code.TOO_MANY, f"you have {MACHINES_MAX} machines, the most that a book can hold")
    if args["npub"] in book.machine_of_key:
        taken = book.machine_of_key[args["npub"]]
        return CommandRefused(Code.KEY_TAKEN, f"this key is already the machine {taken}")
    barred = _find_bar(book, order, Part.MACHINE)
    if barred is not None:
        return barred
    machine = Machine(
        handle=args["name"],
        pubkey=args["npub"],
        fiat=args["fiat"],
        cash_in_ppm=args["cash_in"],
        cash_out_ppm=args["cash_out"],
        location=args.get("location", ""),
        trust=args.get("trust", Trust.SIGNATURE),
        enforce_fee_match=args.get("enforce_fee_match", False),
        guard=Guard(),
        active=True,
        created_at=order.at,
        updated_at=order.at,
    )
    return (MachineAdded(machine), fees_for(book, machine, order.at))


def free_machine(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Take a key from this book, whoever enrolled it first: its reports are refused here from now on (review A12)."""
    pubkey = order.args["npub"]
    if book.key == ROOT:
        return (MachineFreed("", pubkey),)
    handle = book.machine_of_key.get(pubkey)
    if handle is None:
        return CommandRefused(Code.NOT_FOUND, "no operator has a machine with this key")
    if pubkey in book.freed:
        return ()
    machine, freed = book.machines[handle], MachineFreed(handle, pubkey)
    if machine.pubkey != pubkey or not machine.active:
        return (freed,)
    return (freed, MachineChanged(replace(machine, active=False, updated_at=order.at)))


def fees_for(book: Book, machine: Machine, at: int, platform: PlatformFeeSet | None = None) -> FeesPublished:
    """Return the fees a machine is to charge from `at` on: platform and operator together (docs/protocol.md section 4).

    `platform`: its fee where that is being changed.
    """
    fee = platform or PlatformFeeSet(book.cash_in_ppm, book.cash_out_ppm)
    told_before = book.tills[machine.handle].fees_told_at if machine.handle in book.tills else 0
    return FeesPublished(
        machine.handle,
        machine.pubkey,
        told_at=max(at, told_before + 1),
        cash_in_ppm=fee.cash_in_ppm + machine.cash_in_ppm,
        cash_out_ppm=fee.cash_out_ppm + machine.cash_out_ppm,
    )


def rotate_machine(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Give a machine a new key. From this entry on, all that the old key signs is rejected, whatever its date (M7)."""
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    taken = book.machine_of_key.get(order.args["npub"])
    if order.args["npub"] == machine.pubkey:
        return ()
    if taken is not None:
        return CommandRefused(Code.KEY_TAKEN, f"this key is or was {taken}'s: make a new one for the machine")
    barred = _find_bar(book, order, Part.MACHINE)
    if barred is not None:
        return barred
    rotated = replace(machine, pubkey=order.args["npub"], updated_at=order.at)
    return (MachineChanged(rotated), fees_for(book, rotated, order.at))


_SETTABLE = {
    "cash_in": "cash_in_ppm",
    "cash_out": "cash_out_ppm",
    "location": "location",
    "trust": "trust",
    "enforce_fee_match": "enforce_fee_match",
}


def set_machine(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Change the named settings; without names nothing changes (acceptance C5)."""
    changes: dict[str, Any] = {_SETTABLE[name]: value for name, value in order.args.items() if name in _SETTABLE}
    return _change_machine(book, order, changes)


def switch_machine(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Suspend or resume a machine, from this entry on."""
    machine = find_machine(book, order.args["machine"])
    if order.verb == "machine resume" and isinstance(machine, Machine) and machine.pubkey in book.freed:
        again = f"`machine rotate {machine.handle} <npub>` gives it another"
        return CommandRefused(Code.KEY_TAKEN, f"the platform took this machine's key from you: {again}")
    return _change_machine(book, order, {"active": order.verb == "machine resume"})


def _change_machine(book: Book, order: Order, changes: dict[str, Any]) -> tuple[Fact, ...] | CommandRefused:
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    if replace(machine, **changes) == machine:
        return ()
    changed = replace(machine, **changes, updated_at=order.at)
    if (changed.cash_in_ppm, changed.cash_out_ppm) == (machine.cash_in_ppm, machine.cash_out_ppm):
        return (MachineChanged(changed),)
    if machine.pubkey in book.freed:
        return (MachineChanged(changed),)  # the operator who has it enrolled by now tells it its fees
    return (MachineChanged(changed), fees_for(book, changed, order.at))


def enrol_lp(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Enrol an LP at a machine. It need not have joined yet (L2); at a second machine it keeps its name."""
    args = order.args
    machine = find_machine(book, args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    handle = book.lp_of_key.get(args["npub"])
    if handle is None:
        handle = args["name"]
        if handle in book.lps:
            return CommandRefused(
                Code.NAME_TAKEN, f"there is already an LP {handle} with another key: choose another name"
            )
    elif machine.handle in book.lps[handle].seats:
        return CommandRefused(Code.ALREADY_ENROLLED, f"this key is already the LP {handle} at {machine.handle}")
    barred = _find_bar(book, order, Part.LP)
    if barred is not None:
        return barred
    if order.rules >= SOUND and len(book.seats[machine.handle]) >= LPS_AT_MACHINE_MAX:
        return CommandRefused(
            Code.TOO_MANY, f"{machine.handle} has {LPS_AT_MACHINE_MAX} LPs, the most that can share one sale"
        )
    if order.rules >= SOUND and sum(map(len, book.seats.values())) >= SEATS_MAX:
        return CommandRefused(
            Code.TOO_MANY, f"your LPs have {SEATS_MAX} places at machines in all, the most that a book can hold"
        )
    enrolled = LpEnrolled(handle, args["npub"], Enrolment(machine.handle, True, order.at, order.at))
    return (enrolled,)


def switch_lp(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Suspend or resume an LP at one machine, or at all of them. The LP keeps its cash."""
    lp = find_lp(book, order.args["lp"])
    if isinstance(lp, CommandRefused):
        return lp
    wanted = order.args.get("machine")
    if wanted is not None and wanted not in lp.seats:
        return CommandRefused(Code.NOT_FOUND, f"{lp.handle} is not enrolled at a machine {wanted}")
    active = order.verb == "lp resume"
    changed = tuple(
        replace(seat.enrolment, active=active, updated_at=order.at)
        for machine, seat in lp.seats.items()
        if wanted in (None, machine) and seat.enrolment.active is not active
    )
    return (LpSwitched(lp.handle, changed),) if changed else ()


def _read_limit(book: Book, lp: Lp, order: Order) -> str | CommandRefused | None:
    """Read a limit that fits the currencies of this LP's cash; a limit that another book took already is taken as it
    is.
    """
    if "limit" not in order.args:
        return None
    currencies = [book.machines[machine].fiat for machine in lp.seats]
    read = read_limit(order, "limit", currencies)
    return str(order.args["limit"]) if isinstance(read, CommandRefused) and order.carried else read


NOT_JOINED = CommandRefused(Code.LP_NOT_ONBOARDED, "you have not joined yet: say `join`")


def _chosen_before(lp: Lp, order: Order, *, is_brought: bool) -> Preferences | None:
    """Return the preferences an order changes; None if there are none yet, for only a `join` makes them."""
    if lp.preferences is not None:
        return lp.preferences
    if is_brought:
        # A choice whose `join`, with the other operator, is older than what is carried in.
        return lp.brought or (None if order.verb == "join" else Preferences(order.at, Mode.FLOW, None))
    if lp.brought is None or order.verb != "join":
        return None
    return replace(lp.brought, joined_at=order.at, scheme=order.scheme, scheme_before=order.scheme)


def set_preferences(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Let an LP join, or make one of its choices; choices it does not name stay.

    Its choices with other operators are carried in just before its `join` with this one, and count with that join only.
    """
    lp = book.lps[book.lp_of_key[order.author]]
    is_brought = order.carried and order.rules >= SOUND
    if is_brought and lp.preferences is not None:
        return CommandRefused(Code.NOT_ALLOWED, "this LP has chosen for itself here")
    now = _chosen_before(lp, order, is_brought=is_brought)
    if order.verb == "join":
        mode = order.args.get("mode") or (now.mode if now else Mode.FLOW)
        limit = now.limit if now and mode is now.mode else None
        first = Preferences(order.at, mode, limit)
        chosen = replace(now, mode=mode, limit=limit) if now else first
    elif now is None:
        return NOT_JOINED
    elif order.verb == "mode":
        read = _read_limit(book, lp, order)
        if isinstance(read, CommandRefused):
            return read
        chosen = replace(now, mode=order.args["mode"], limit=read)
    elif order.verb == "forward":
        chosen = replace(now, forward=order.args["to"] or None)
    else:
        chosen = replace(now, paused=order.verb == "pause")
    if now is None:
        chosen = replace(chosen, scheme=order.scheme, scheme_before=order.scheme)
    elif order.scheme is not now.scheme:
        chosen = replace(chosen, scheme=order.scheme, scheme_before=now.scheme)
    if is_brought:
        return () if chosen == lp.brought else (PreferencesCarried(lp.handle, chosen),)
    return () if chosen == lp.preferences else (PreferencesSet(lp.handle, chosen),)
