"""Views: what a book holds, as the JSON that people and programs get to see.

What lives here: one function a noun, record -> plain data with the exact names of docs/protocol.md section 6. What does
not: choosing what to show (reading/), sentences (messages/replies.py), cassettes and the fleet (views/machines.py),
plans (views/plans.py). sats are ints, fiat is decimal text beside its currency, times are unix seconds, keys are npubs,
ids are text (`s1`).
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from nostrbot.core.atm.dossier import Note, Settlement
from nostrbot.core.atm.records import Deposit, Enrolment, Machine, Preferences, Split
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.book import Book, Lp, Seat
from nostrbot.core.commands.amounts import show_limit
from nostrbot.core.ledger import accounts
from nostrbot.core.plain import View
from nostrbot.core.platform.facts import OperatorAdded
from nostrbot.money import format_minor, format_ppm
from nostrbot.nostr.keys import npub

SEATS_SHOWN_MAX = 200  # of one LP: some 180 bytes each at the most, so that its view fits in one event
NOTES_SHOWN_MAX = 10  # of one settlement: some 2 kB each at the most


def operator_view(operator: OperatorAdded, pubkey: str, *, active: bool) -> View:
    """Return one operator, as the platform sees it. `pubkey`: its key in force (hex)."""
    return {"name": operator.handle, "npub": npub(pubkey), "tz": operator.tz, "active": active}


def platform_view(cash_in_ppm: int, cash_out_ppm: int, operators: int) -> View:
    """Return the platform's fee by direction and how many operators there are."""
    return {**_fees(cash_in_ppm, cash_out_ppm), "operators": operators}


def machine_view(machine: Machine) -> View:
    """Return one machine."""
    return {
        "name": machine.handle,
        "npub": npub(machine.pubkey),
        "fiat": machine.fiat,
        "active": machine.active,
        **_fees(machine.cash_in_ppm, machine.cash_out_ppm),
        "location": machine.location,
        "trust": machine.trust,
        "enforce_fee_match": machine.enforce_fee_match,
        "guard": guard_view(machine),
        "created_at": machine.created_at,
        "updated_at": machine.updated_at,
    }


def freed_view(book: Book, pubkey: str) -> View:
    """Return a machine's key that was taken from a book."""
    return {"npub": npub(pubkey), "freed_from": book.handle}


def guard_view(machine: Machine) -> View:
    """Return the limits that hold a machine's settlements."""

    def money(amount_minor: int | None) -> str | None:
        return None if amount_minor is None else format_minor(amount_minor, machine.fiat)

    guard = machine.guard
    return {
        "per_settlement": money(guard.per_settlement_minor),
        "per_day": money(guard.per_day_minor),
        "rate": None if guard.rate_ppm is None else format_ppm(guard.rate_ppm),
    }


def _fees(cash_in_ppm: int, cash_out_ppm: int) -> View:
    return {
        "cash_in": format_ppm(cash_in_ppm),
        "cash_out": format_ppm(cash_out_ppm),
        "cash_in_ppm": cash_in_ppm,
        "cash_out_ppm": cash_out_ppm,
    }


def lp_view(
    book: Book,
    handle: str,
    pubkey: str,
    *,
    enrolments: tuple[Enrolment, ...] = (),
    preferences: Preferences | None = None,
) -> View:
    """Return one LP with its balances; `enrolments` and `preferences` override what the book says (a change just
    decided).

    If there are very many machines: those it was enrolled at last, and `more`.
    """
    lp = book.lps.get(handle) or Lp(handle, pubkey)
    changed = {enrolment.machine: enrolment for enrolment in enrolments}
    seats = [Seat(handle, changed.get(m, s.enrolment), s.deposited_minor, s.spent_minor) for m, s in lp.seats.items()]
    seats += [Seat(handle, enrolment) for machine, enrolment in changed.items() if machine not in lp.seats]
    chosen = preferences or lp.preferences
    currencies = [book.machines[seat.enrolment.machine].fiat for seat in seats]
    return {
        "name": handle,
        "npub": npub(pubkey),
        "lp_onboarded": chosen is not None,
        "mode": chosen.mode if chosen else None,
        "limit": show_limit(chosen.limit, currencies) if chosen and chosen.limit else None,
        "paused": chosen.paused if chosen else False,
        "forward": chosen.forward if chosen else None,
        "active": any(seat.enrolment.active for seat in seats),
        "sats": book.sats_owed(handle),
        "machines": [
            {"machine": seat.enrolment.machine, "active": seat.enrolment.active, **cash_view(book, seat)}
            for seat in seats[-SEATS_SHOWN_MAX:]
        ],
        **({"more": True} if len(seats) > SEATS_SHOWN_MAX else {}),
    }


def cash_view(book: Book, seat: Seat) -> View:
    """Return an LP's cash at one machine."""
    currency = book.machines[seat.enrolment.machine].fiat
    return {
        "currency": currency,
        "deposited": format_minor(seat.deposited_minor, currency),
        "spent": format_minor(seat.spent_minor, currency),
        "remaining": format_minor(seat.remaining_minor, currency),
    }


def sats_view(book: Book) -> View:
    """Return the sats an operator holds, and whose they are: the parts sum to what is held."""
    owed = {"held": 0, "lps": 0, "platform": 0, "others": 0, "operator": 0}
    for (account, unit), amount in book.balances.items():
        if unit == accounts.SAT:
            owed[_holder(account)] += amount if account == accounts.SATS else -amount
    return owed


_HOLDERS = {
    accounts.SATS: "held",
    accounts.PLATFORM: "platform",
    accounts.PLATFORM_HELD: "platform",
    accounts.OPERATOR: "operator",
    accounts.OPERATOR_HELD: "operator",
}


def held_view(book: Book) -> View:
    """Those sats that are held for payouts on their way, by whose they are."""
    own, platform = (-book.balances.of(one, accounts.SAT) for one in (accounts.OPERATOR_HELD, accounts.PLATFORM_HELD))
    return {"lps": sum(map(book.held_sats, book.lps)), "operator": own, "platform": platform}


def _holder(account: str) -> str:
    return _HOLDERS.get(account) or ("lps" if account.startswith(accounts.LP_PREFIX) else "others")


def balance_rows(book: Book, lp: Lp) -> list[View]:
    """Return an LP's balances in one book, a row a machine; sats are per operator and so the same in each row.

    `held_sats`, beside them, is there while some are held for payouts, `frozen_sats` while some of them are frozen: clients of
    before know the other fields only.
    """
    sats, frozen_sats = {"sats": book.sats_owed(lp.handle)}, book.frozen_sats(lp.handle)
    held_sats = book.held_sats(lp.handle)
    if held_sats:
        sats["held_sats"] = held_sats
    if frozen_sats:
        sats["frozen_sats"] = frozen_sats
    return [
        {"operator": book.handle, "machine": machine, **cash_view(book, seat), **sats}
        for machine, seat in lp.seats.items()
    ]


def deposit_view(deposit: Deposit) -> View:
    """Return one deposit."""
    return {
        "id": f"d{deposit.number}",
        "lp": deposit.lp,
        "machine": deposit.machine,
        "amount": format_minor(deposit.amount_minor, deposit.currency),
        "currency": deposit.currency,
        "status": deposit.status,
        "note": deposit.note,
        "reversed": format_minor(deposit.reversed_minor, deposit.currency),
        "created_at": deposit.created_at,
        "confirmed_at": deposit.confirmed_at,
    }


def split_view(rule: Split) -> View:
    """Return one share of a commission split."""
    to = rule.lp or (npub(rule.pubkey) if rule.pubkey else "self")
    return {"label": rule.label, "pct": format_ppm(rule.ppm), "ppm": rule.ppm, "to": to}


def leg_view(leg: Leg, *, settlement: int | None, currency: str, rate: str) -> View:
    """Return one leg: of a settlement, or of none."""
    return {
        "id": f"l{leg.number}",
        "settlement": None if settlement is None else f"s{settlement}",
        "type": leg.type,
        **({"lp": leg.lp} if leg.lp else {}),
        **({"label": leg.label} if leg.label else {}),
        "sats": leg.sats,
        "fiat": None if leg.fiat_minor is None else format_minor(leg.fiat_minor, currency),
        "currency": currency,
        "rate": rate,
        "status": leg.status,
        "reason": leg.reason,
    }


def leg_views(settlement: Settlement, legs: Iterable[Leg]) -> Iterator[View]:
    """These legs of a settlement."""
    sale = settlement.sale
    return (leg_view(leg, settlement=settlement.number, currency=sale.currency, rate=sale.rate) for leg in legs)


def settlement_view(settlement: Settlement, *, entry: int | None, entry_hash: str | None) -> View:
    """Return one settlement: every field the machine reported, what became of it, and where it is sealed.

    Amounts are those in force; what a corrected one was reported with is beside them, under `reported`. Without legs:
    they are added where there is room for them (leg_views).
    """
    sale = settlement.sale
    view: View = {
        "id": f"s{settlement.number}",
        "machine": settlement.machine,
        "status": settlement.status,
        "frozen": settlement.is_frozen,
        "error": settlement.error,
        "event_id": settlement.event_id,
        "n": sale.n,
        "txid": sale.txid,
        "payment_hash": sale.payment_hash,
        "preimage": sale.preimage,
        "tx_type": sale.direction,
        "wire_sats": settlement.wire_sats,
        "principal_sats": settlement.principal_sats,
        "fee_sats": settlement.fee_sats,
        "fiat_amount": format_minor(settlement.fiat_minor, sale.currency),
        "fiat_code": sale.currency,
        "exchange_rate": sale.rate,
        "bills": [{"denomination": denomination, "count": count} for denomination, count in sale.bills],
        "cassettes": {p: {"denomination": denomination, "count": c} for p, denomination, c in sale.cassettes},
        "occurred_at": sale.occurred_at,
        "platform_fee_sats": settlement.platform_fee_sats,
        "operator_fee_sats": settlement.operator_fee_sats,
        "fee_mismatch_sats": settlement.fee_mismatch_sats,
        "owed_to_customer_sats": settlement.owed_sats,
        "notes": notes_text(settlement.notes),
        "entry": entry,
        "entry_hash": entry_hash,
        "created_at": settlement.created_at,
        "since": settlement.since,
        "processed_at": settlement.processed_at,
    }
    if settlement.fiat_minor != sale.fiat_minor:
        view["reported"] = {
            "wire_sats": sale.wire_sats,
            "principal_sats": sale.principal_sats,
            "fee_sats": sale.fee_sats,
            "fiat_amount": format_minor(sale.fiat_minor, sale.currency),
        }
    return view


def notes_text(notes: tuple[Note, ...]) -> str:
    """Notes, newest first, a blank line between them: `[<UTC ISO> by <npub>] text` (acceptance S14).

    As many as leave room for the rest of an answer; a last line says how many older ones there are. All are in the
    trail.
    """
    lines = [
        f"[{datetime.fromtimestamp(note.at, UTC).isoformat(timespec='seconds')} by {npub(note.by)}] {note.text}"
        for note in notes[:NOTES_SHOWN_MAX]
    ]
    if len(notes) > NOTES_SHOWN_MAX:
        lines.append(f"({len(notes) - NOTES_SHOWN_MAX} older notes)")
    return "\n\n".join(lines)
