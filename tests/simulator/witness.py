"""A witness: reads what is committed, as somebody else's program would, and says when a promise is broken.

What lives here: the invariants of the fault matrix, I1 to I9, over the rows of the database; what was acked or answered is
compared with them the moment it leaves. What does not: the world that the bot lives in. None of the product's code decides
anything here, but for the auditor's, who is asked at the end.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from tests.houses import BOT
from tests.simulator.reckoning import SATS_MAX, Reckoning, to_minor
from tests.tallies import Tally

Plain = dict[str, Any]
ROOT = "root"
GENESIS = "0" * 64
SEAL = 13
QUEUE_MOVES = {"payout_resolving", "payout_queued", "payout_held"}  # of a tick: they move no money


class Violation(AssertionError):  # noqa: N818 - no error of anybody's but the product's
    """A promise is broken."""


def hold(holds: object, promise: str) -> None:
    """Say so when a promise does not hold."""
    if not holds:
        raise Violation(promise)


class Ledger:
    """One book as its entries tell it, read once each."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []  # hash and body
        self.seen: dict[str, int] = {}  # what had an effect -> its entry
        self.tally = Tally()
        self.reckoning = Reckoning()
        self.sums: Counter[tuple[str, str]] = Counter()
        self.accepted: dict[tuple[str, str], int] = {}  # by machine and payment hash, the settlement accepted last
        self.having: dict[str, list[int]] = {}  # by payment hash, all that were accepted
        self.numbers: dict[str, int] = {}  # event -> settlement, rejected ones too
        self.statuses: dict[int, str] = {}
        self.legs: dict[int, str] = {}
        self.leg_count = 0
        self.payouts: dict[int, Plain] = {}  # as their newest facts tell them
        self.settled: set[int] = set()
        self.left: set[tuple[int, int]] = set()  # the attempts that were booked as paid
        self.receipts: dict[int, tuple[str, int]] = {}  # completed legs of LPs: (LP, sats)
        self.owed: list[dict[str, int]] = []  # after each entry: what all LPs together were owed, by unit

    def read(self, body: bytes, digest: str) -> None:
        """The next entry: I7, I9, I1; then both models have it."""
        content = orjson.loads(body)
        before = self.entries[-1][0] if self.entries else GENESIS
        seq = len(self.entries) + 1
        hold(content["seq"] == seq, f"I7: entry {seq} says it is {content['seq']}")
        hold(content["prev"] == before, f"I7: entry {seq} follows another")
        hold(sha256(body).hexdigest() == digest, f"I7: entry {seq} has the hash of other bytes")
        self.entries.append((digest, body))
        effect = effect_of(content["input"])
        if effect is not None:
            hold(
                effect not in self.seen,
                f"I9: entry {seq}: {effect[:8]} had its effect in entry {self.seen.get(effect)}",
            )
            self.seen[effect] = seq
        units: Counter[str] = Counter()
        for account, unit, amount in content["postings"]:
            units[unit] += amount
            self.sums[account, unit] += amount
        hold(not any(units.values()), f"I1: entry {seq} does not balance")
        for fact in content["facts"]:
            self._read_fact(fact, seq)
        self.tally.read(content)
        paid = [
            (leg, fact["machine"]) for fact in content["facts"] if fact["fact"] == "lp_paid" for leg in fact["legs"]
        ]
        numbers = {(leg["lp"], machine): leg["number"] for leg, machine in paid}
        if not {fact["fact"] for fact in content["facts"]} <= QUEUE_MOVES:
            self.reckoning.read(content["input"], content["at"], numbers)
        self.owed.append(self.reckoning.owes())

    def check_parts(self) -> None:
        """The bot's own key is nobody's in a book."""
        said = self.reckoning
        named = {key for rules in said.splits.values() for *_, key in rules}
        hold(
            BOT.pubkey not in {said.owner, *said.machine_of, *said.lp_of, *named},
            "the bot's own key has a part in its books",
        )

    def check_checkpoint(self, said: Plain) -> None:
        """What is signed is committed, and so much is owed."""
        seq = said["seq"]
        hold(0 < seq <= len(self.entries), f"a checkpoint of entry {seq}, which is not committed")
        hold(self.entries[seq - 1][0] == said["head"], f"a checkpoint of another entry {seq} than the one committed")
        hold(
            as_minor(said["liabilities"]) == self.owed[seq - 1],
            f"{said['liabilities']} signed, {self.owed[seq - 1]} owed",
        )

    def _read_fact(self, fact: Plain, seq: int) -> None:
        """I4, I5 and I8: of one fact."""
        name = fact["fact"]
        for leg in fact.get("voided", ()):
            was = self.legs.get(leg["number"])
            hold(was in ("completed", "skipped"), f"I8: entry {seq} voids l{leg['number']}, which is {was}")
            self.legs[leg["number"]] = "voided"
        for leg in fact.get("legs", ()):
            self.leg_count += 1
            hold(
                leg["number"] == self.leg_count, f"I8: entry {seq}: l{leg['number']} is there again, or one is missing"
            )
            hold(leg["sats"] >= 0 and (leg["fiat_minor"] or 0) >= 0, f"I2: entry {seq}: l{leg['number']} is negative")
            self.legs[leg["number"]] = leg["status"]
            if leg["status"] == "completed" and leg["lp"] is not None:
                self.receipts[leg["number"]] = (leg["lp"], leg["sats"])
        number = fact.get("number")
        if "payout" in fact:
            self._read_payout(fact, seq)
        match name:
            case "settlement_processed" | "settlement_pending" | "settlement_rejected":
                self.statuses[number] = name.removeprefix("settlement_")
                self.numbers[fact["event_id"]] = number
                if name == "settlement_rejected":
                    hold("legs" not in fact, f"I5: s{number} is rejected and has legs")
                else:
                    sale, place = fact["sale"], (fact["machine"], fact["sale"]["payment_hash"])
                    taken = self.accepted.get(place, number)
                    is_free = taken == number or self.statuses[taken] == "refunded" or sale["preimage"] is not None
                    hold(is_free, f"I4: s{number} has the payment hash of s{taken}")
                    self.accepted[place] = number
                    self.having.setdefault(place[1], []).append(number)
            case "settlement_corrected":
                is_whole = fact["fiat_minor"] == fact["sale"]["fiat_minor"]
                self.statuses[number] = "processed" if is_whole else "partial"
            case "settlement_refunded":
                self.statuses[number] = "refunded"
            case "settlement_retried":
                self.statuses[number] = "processed"
            case "settlement_moved":
                self.statuses[number] = fact["status"]

    def _read_payout(self, fact: Plain, seq: int) -> None:
        """A payout is settled once, an attempt leaves once, and no two attempts are one."""
        payout = self.payouts[fact["payout"]["number"]] = fact["payout"]
        number, name = payout["number"], fact["fact"]
        if name == "payout_settled":
            hold(number not in self.settled, f"I4: entry {seq} settles p{number} again")
            self.settled.add(number)
        if name in ("payout_settled", "payment_late"):
            place = (number, fact["attempt"])
            hold(place not in self.left, f"I4: entry {seq}: p{number}.{fact['attempt']} leaves again")
            self.left.add(place)
        sent = [one for one in payout["attempts"] if one["status"] in ("sending", "unknown")]
        hold(len(sent) <= 1, f"I4: entry {seq}: p{number} has two attempts on their way")

    def check(self) -> None:
        """I2, I3, I4, and that both models come to the same."""
        tally, reckoning = self.tally, self.reckoning
        for number, told in tally.settlements.items():
            if not told.is_refunded:
                hold(
                    told.wire_sats + told.owed_sats == told.sale["wire_sats"],
                    f"I2: s{number}: the wire is lost in part",
                )
            want = (told.wire_sats, told.fiat_minor) if told.is_cash_out else (told.sale["fee_sats"], 0)
            have = (sum(leg["sats"] for leg in told.parts), sum(leg["fiat_minor"] or 0 for leg in told.parts))
            hold(have == want, f"I2: the parts of s{number} are {have}, the whole is {want}")
            parties = Counter((leg["type"], leg["lp"], leg["label"]) for leg in told.completed)
            hold(max(parties.values(), default=1) == 1, f"I4: s{number} pays somebody twice")
        self.check_money()
        ledger = {f"{account} {unit}": amount for (account, unit), amount in self.sums.items() if amount}
        hold(ledger == tally.ledger(), f"the ledger and the tally differ: {_difference(ledger, tally.ledger())}")
        for (lp, machine), minor in reckoning.cash.items():
            hold(0 <= minor <= reckoning.put_in[lp, machine], f"I3: {lp} at {machine}: {minor} of what was put in")
            hold(tally.put_in(lp, machine) - tally.spent(lp, machine) == minor, f"the tally of {lp}'s cash differs")

    def check_money(self) -> None:
        """The reckoning, made from what was said, comes to what was booked."""
        reckoning, sums = self.reckoning, self.sums
        for (lp, machine), minor in reckoning.cash.items():
            booked = -sums[f"liabilities:lp:{lp}:cash:{machine}", reckoning.machines[machine].fiat]
            hold(booked == minor, f"{lp} should have {minor} left at {machine}, and {booked} are booked")
        for lp, sats in reckoning.sats.items():
            booked = -sums[f"liabilities:lp:{lp}:sats", "sat"]
            hold(booked == sats, f"{lp} should be owed {sats} sats, and {booked} are booked")
        own = -sums["equity:operator", "sat"]
        hold(own == reckoning.own, f"the operator should have {reckoning.own} sats of its own, and {own} are booked")
        going = -sums["equity:operator:held", "sat"]
        hold(
            going == reckoning.outgoing.held, f"{reckoning.outgoing.held} sats should be held for payouts, not {going}"
        )
        held = sums["assets:sats", "sat"]
        hold(held == reckoning.held, f"{reckoning.held} sats should be held, and {held} are booked")
        owed = held + max(0, -own)
        hold(owed <= SATS_MAX, f"the book owes {owed} sats, and there are not so many")


def as_minor(sums: Plain) -> dict[str, int]:
    """What is not nothing, in the smallest coins."""
    minor = {unit: amount if unit == "sat" else to_minor(amount, unit) for unit, amount in sums.items()}
    return {unit: amount for unit, amount in minor.items() if amount}


def effect_of(given: Plain) -> str | None:
    """What can have an effect once only."""
    if "tick" in given:
        return None
    if "observed" in given:
        seen = given["observed"]
        return sha256(orjson.dumps(["nostrbot/observed", seen["identity"], seen["key"]])).hexdigest()
    is_seal = given["event"]["kind"] == SEAL
    return str(orjson.loads(given["plaintext"])["id"] if is_seal else given["event"]["id"])


def _difference(one: Plain, other: Plain) -> Plain:
    return {name: (one.get(name), other.get(name)) for name in {**one, **other} if one.get(name) != other.get(name)}


class Witness:
    """Reads the database beside the bot. `look()` after each step; `look_closely()` after each death and at the end."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._connection = sqlite3.connect(path, isolation_level=None)
        self.books: dict[str, Ledger] = {}
        self._keys: dict[int, str] = {}

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _all(self, sql: str, *values: Any) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def look(self) -> None:
        """Read what was committed since the last look."""
        self._connection.execute("BEGIN")
        try:
            for number, key in self._all("SELECT id, key FROM book WHERE id > ? ORDER BY id", len(self._keys)):
                self._keys[number], self.books[key] = key, Ledger()
            for number, key in self._keys.items():
                ledger = self.books[key]
                rows = self._all("SELECT hash, body FROM entry WHERE book = ? AND seq > ? ORDER BY seq", number,
                                 len(ledger.entries))  # fmt: skip
                for digest, body in rows:
                    ledger.read(body, digest.hex())
                    self._tell(f"{key[:4]} sealed {len(ledger.entries)} {digest.hex()[:12]}")
                if rows and key != ROOT:
                    ledger.check_parts()
                    ledger.check_money()
                    self._check_balances(number, ledger)
        finally:
            self._connection.execute("COMMIT")

    def _check_balances(self, number: int, ledger: Ledger) -> None:
        """I6, as far as it goes cheaply: the projected balances are the sums of the postings."""
        rows = self._all("SELECT account, unit, amount FROM balance WHERE book = ?", number)
        kept = {(account, unit): int(amount) for account, unit, amount in rows}
        hold(kept == dict(ledger.sums), f"I6: balances differ from the journal: {_difference(kept, dict(ledger.sums))}")

    def look_closely(self) -> None:
        """Nothing that was committed is gone or changed, and every projection is what the journal alone makes it."""
        self.look()
        for number, key in self._keys.items():
            ledger = self.books[key]
            rows = self._all("SELECT hash, body FROM entry WHERE book = ? ORDER BY seq", number)
            hold(
                [(digest.hex(), body) for digest, body in rows] == ledger.entries,
                f"I7: the journal of {key[:8]} changed",
            )
            if key == ROOT:
                continue
            ledger.check()
            statuses = dict(self._all("SELECT number, status FROM settlement WHERE book = ?", number))
            hold(statuses == ledger.statuses, f"I6: settlements differ: {_difference(statuses, ledger.statuses)}")
            legs = dict(self._all("SELECT number, status FROM leg WHERE book = ?", number))
            hold(legs == ledger.legs, f"I6: legs differ: {_difference(legs, ledger.legs)}")
        [(sound,)] = self._all("PRAGMA integrity_check")
        hold(sound == "ok", f"the database is damaged: {sound}")

    def copy_to(self, path: Path) -> None:
        """All of it as it is just now."""
        with closing(sqlite3.connect(path)) as copy:
            self._connection.backup(copy)

    def owes(self) -> int:
        """How many messages are still owed."""
        return int(self._all("SELECT count(*) FROM outbox")[0][0])

    def answered(self, said_id: str) -> bool:
        """Whether a command's answer is committed."""
        return bool(self._all("SELECT 1 FROM answered WHERE event_id = ?", bytes.fromhex(said_id)))

    def check_ack(self, ack: Plain) -> None:
        """Acked means committed."""
        event, status, hash_ = ack["event"], ack["status"], ack["payment_hash"]
        self.look()
        known = [ledger.numbers[event] for ledger in self.books.values() if event in ledger.numbers]
        taken = [number for ledger in self.books.values() for number in ledger.having.get(hash_, ())]
        number = None if ack["settlement"] is None else int(ack["settlement"][1:])
        if status == "invalid":
            hold(not known and number is None, f"{event[:8]} is acked as invalid and sealed all the same")
        elif ack["error"] == "machine_inactive":
            hold(not known and number is None, f"{event[:8]} is by a key without standing, and is recorded")
        elif status == "duplicate":
            hold(
                number in (*known, *taken) or (number is None and (known or taken)),
                f"{event[:8]} is acked as a duplicate of s{number}, which is not committed",
            )
        else:
            hold(known == [number], f"{event[:8]} is acked as s{number} ({status}); committed is {known}")

    def lines(self, key: str, bot: str) -> list[bytes]:
        """A book's trail, as the journal has it."""
        entries = self.books[key].entries
        created_at = orjson.loads(entries[0][1])["at"]
        header = {"trail": 1, "bot": bot, "book": key, "created_at": created_at}
        return [
            orjson.dumps(header, option=orjson.OPT_SORT_KEYS),
            *(body[:-1] + b',"hash":"' + digest.encode() + b'"}' for digest, body in entries),
        ]
