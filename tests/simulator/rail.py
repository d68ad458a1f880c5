"""A rail of the world: destinations that give invoices, and a wallet that lies, delays, forgets and repeats itself.

What lives here: what it sees of committed entries, what it really paid, and handing in what the bot's payer would see until an
entry holds it. What does not: what must be true of it (witness.py, outgoing.py). It pays what is committed and nothing else, and an
invoice once.
"""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

from nostrbot.core.inputs import Observed
from tests.houses import person
from tests.payouts import hash_of, preimage_of
from tests.simulator.deeds import OPERATORS, operator_of
from tests.simulator.witness import hold

if TYPE_CHECKING:
    from tests.simulator.world import World

Plain = dict[str, Any]
LIKELY = 0.25  # of worlds
ASKED_LIKELY, TOLD_LIKELY, LIE_LIKELY, AGAIN_LIKELY = 0.25, 0.5, 0.4, 0.3
HELD_MAX_S = 3.0  # so long the payer waits for the word that it is held; then it hands it in once more
IN_FLIGHT = ("sending", "unknown")


class Rail:
    """One wallet for all books of a world."""

    def __init__(self, world: "World", rng: Random) -> None:
        self._world = world
        self._rng = rng
        self._asked: set[tuple[str, int, int]] = set()
        self._paid: dict[str, bool] = {}  # by payment hash: whether it really left
        self._told = 0
        self._names = 0
        self._handing: set[asyncio.Task[None]] = set()
        self.is_honest = False

    def step(self) -> None:
        """Somebody asks for sats or thinks better of it; destinations answer; the wallet says something."""
        world, rng = self._world, self._rng
        if not self.is_honest and rng.random() < ASKED_LIKELY:
            text = rng.choice(("withdraw 1", "withdraw 1000", "withdraw all", "payout cancel", "payout retry"))
            to = " me@wallet.example.com" if text.startswith("withdraw") else f" p{rng.randint(1, 4)}"
            world.say(operator_of(world), f"{text}{to} --json")
        for first in OPERATORS:
            key = person(first).pubkey
            for payout in list(world.witness.books[key].payouts.values()):
                self._look_at(key, payout)

    def is_done(self) -> bool:
        """Whether the books know of all that left, and of nothing that may still leave."""
        for ledger in self._world.witness.books.values():
            for payout in ledger.payouts.values():
                for attempt in payout["attempts"]:
                    is_known = attempt["status"] == "settled" or not self._paid.get(attempt["attempt_id"])
                    if attempt["status"] in IN_FLIGHT or not is_known:
                        return False
        return not self._handing

    def _look_at(self, key: str, payout: Plain) -> None:
        number = len(payout["attempts"]) + 1
        place = (key, payout["number"], number)
        if payout["status"] == "resolving" and place not in self._asked:
            self._asked.add(place)
            self._hand_in(key, self._invoice(payout, number))
        for attempt in payout["attempts"]:
            if attempt["status"] == "refused":
                continue
            if attempt["status"] == "sending" and attempt["attempt_id"] not in self._paid:
                self._paid[attempt["attempt_id"]] = self.is_honest or self._rng.random() < 0.7
            likely = 1.0 if self.is_honest else TOLD_LIKELY
            is_final = attempt["status"] in ("settled", "failed")
            is_known = is_final and (attempt["status"] == "settled") == self._paid.get(attempt["attempt_id"], False)
            if not is_known and len(self._handing) < 3 and self._rng.random() < likely:
                self._hand_in(key, self._word(payout, attempt))

    def _invoice(self, payout: Plain, number: int) -> Observed:
        self._names += 1
        name, at = f"invoice {self._names}", self._world.clock()
        amount_msat = payout["sats"] * 1_000 + self._rng.choice((0, 0, 0, 0, 0, 1))
        seen = {
            "payout": payout["number"], "attempt": number, "attempt_id": hash_of(name), "instrument": f"lnbc {name}",
            "amount_msat": amount_msat, "payment_hash": hash_of(name), "network": "bc", "expires_at": at + 600, "why": "",
        }  # fmt: skip
        return Observed("lnbits", "wallet", f"p{payout['number']}.{number}:prepared", at, "attempt_prepared", seen)

    def _word(self, payout: Plain, attempt: Plain) -> Observed:
        """The truth, or a lie: that nothing is known, or that what left has failed. What did not leave it never calls paid."""
        self._told += 1
        is_paid = self._paid.get(attempt["attempt_id"], False)
        is_lie = not self.is_honest and self._rng.random() < LIE_LIKELY
        now = self._rng.choice(("unknown", "failed")) if is_lie else "settled" if is_paid else "failed"
        name = attempt["instrument"].removeprefix("lnbc ") or self._name_of(attempt["attempt_id"])
        seen = {
            "payout": payout["number"], "attempt": attempt["number"], "attempt_id": attempt["attempt_id"], "outcome": now,
            "n": self._told, "asked_sats": payout["sats"], "amount_msat": payout["sats"] * 1_000 if now == "settled" else 0,
            "fee_msat": self._rng.choice((0, 1, 1_500)) if now == "settled" else None,
            "preimage": preimage_of(name) if now == "settled" and self._rng.random() < 0.8 else None,
            "is_confirmed": False, "why": "",
        }  # fmt: skip
        key = f"p{payout['number']}.{attempt['number']}:{now}:{self._told}"
        return Observed("lnbits", "wallet", key, self._world.clock(), "payment_outcome", seen)

    def _name_of(self, attempt_id: str) -> str:
        return next(f"invoice {n}" for n in range(1, self._names + 1) if hash_of(f"invoice {n}") == attempt_id)

    def _hand_in(self, key: str, seen: Observed) -> None:
        self._world.tell(f"the rail saw {seen.key} {seen.id[:8]}")
        task = asyncio.get_running_loop().create_task(self._until_held(key, seen))
        self._handing.add(task)
        task.add_done_callback(self._handing.discard)

    async def _until_held(self, key: str, seen: Observed) -> None:
        """Whoever dies meanwhile, it is handed in until an entry holds it; and sometimes once more."""
        left = 2 if self._rng.random() < AGAIN_LIKELY else 1
        await asyncio.sleep(self._rng.choice((0.0, 0.0, 0.3, 5.0)))
        while left:
            node = self._world.node
            is_held = False
            if node.sequencer is not None and node.bot is not None:
                try:
                    is_held = await asyncio.wait_for(node.bot.inbox.hand_in(key, seen), HELD_MAX_S)
                except TimeoutError:
                    is_held = False
            left -= is_held
            await asyncio.sleep(0.5)

    def forget(self) -> None:
        """The world went back to a backup: what was seen of it since is of another time."""
        for task in self._handing:
            task.cancel()

    def check(self) -> None:
        """All that left is settled in the books, and nothing else is."""
        for ledger in self._world.witness.books.values():
            for payout in ledger.payouts.values():
                for attempt in payout["attempts"]:
                    is_settled = attempt["status"] == "settled"
                    is_paid = self._paid.get(attempt["attempt_id"], False)
                    hold(
                        is_settled == is_paid,
                        f"p{payout['number']}.{attempt['number']}: settled {is_settled}, paid {is_paid}",
                    )
