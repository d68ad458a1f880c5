"""Liabilities: what a book owes its LPs, and the Merkle-sum tree that commits to every LP's part of it.

What lives here: the balances, the tree, its hashes, and climbing from a leaf to the root. What does not: signing a root
(store/checkpoints.py), reading a proof that a stranger gives us (audit/proof.py). docs/protocol.md section 7; faults.md
row 88.

Every node commits to the sums of both its children, each by itself, and never to their total alone: a tree that hides a
debt has to break a hash. Each LP has two leaves, its balances cut in two at random. So a proof shows only pieces of the
neighbours' balances, and nobody's whole balance. All that is random is derived from a seed, which
is another one at every checkpoint.
"""

import hmac
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

import orjson

from nostrbot.core.book import Book
from nostrbot.core.ledger.accounts import SAT
from nostrbot.errors import BooksError
from nostrbot.money import DIGITS_MAX, format_minor, parse_minor
from nostrbot.nostr.event import INT_MAX

PARTS = 2  # leaves of one LP
LPS_AT_ONCE = 100  # then whoever grows a tree may do something else: some milliseconds of work
PATH_MAX = 64  # steps from a leaf to the top: more leaves than there will ever be people

# No bound of what may be owed, only of what can be written down: sats are JSON integers, fiat is decimal text.
SATS_SUM_MAX = INT_MAX
MINOR_SUM_MAX = 10**DIGITS_MAX - 1

# By unit: sats under "sat", minor units under a currency's code. Within one tree all have the same units.
Sums = Mapping[str, int]

_is_currency = re.compile("[A-Z]{3}", re.ASCII).fullmatch


class Side(StrEnum):
    """The side of a neighbour, seen from below."""

    LEFT = "left"
    RIGHT = "right"


class Node(NamedTuple):
    """A node of the tree: what it commits to, and what is owed below it."""

    hash: bytes
    sums: Sums


class Step(NamedTuple):
    """One step up: the neighbour that is joined, and its side."""

    side: Side
    node: Node


class Leaf(NamedTuple):
    """One of an LP's two leaves. `part` is 0 or 1; `salt`, 32 bytes, is known to the bot and that LP alone."""

    lp: str
    part: int
    salt: bytes
    sums: Sums


class Standpoint(NamedTuple):
    """The subject of a root: the bot and the book (both hex), and the last entry of its chain."""

    bot: str
    book: str
    seq: int
    head: str


def balances_of(book: Book) -> dict[str, dict[str, int]]:
    """Return what each LP is owed, by public key and unit, as its `balance` answers: its sats, those held for payouts too,
    and its cash by currency.
    """
    balances = {}
    for lp in book.lps.values():
        owed = {SAT: book.sats_owed(lp.handle) + book.held_sats(lp.handle)}
        for machine, seat in lp.seats.items():
            currency = book.machines[machine].fiat
            owed[currency] = owed.get(currency, 0) + seat.remaining_minor
        balances[lp.pubkey] = owed
    return balances


def liabilities_of(book: Book) -> dict[str, int]:
    """Return what a book owes all its LPs: sats, and each currency of a machine with an LP."""
    return add_up(balances_of(book).values())


def add_up(owed: Iterable[Sums]) -> dict[str, int]:
    """Add up balances per unit; sats are always among them."""
    total = {SAT: 0}
    for sums in owed:
        for unit, amount in sums.items():
            total[unit] = total.get(unit, 0) + amount
    return total


# --- as it is written -------------------------------------------------------------------------------------------------


def sums_view(sums: Sums) -> dict[str, int | str]:
    """Return sums as JSON has them: sats an integer, fiat decimal text."""
    return {unit: amount if unit == SAT else format_minor(amount, unit) for unit, amount in sums.items()}


def read_sums(value: object) -> dict[str, int] | None:
    """Read what sums_view() wrote; None for anything else: a negative, a unit without its sats, "1.0"."""
    if type(value) is not dict or SAT not in value:
        return None
    sums: dict[str, int] = {}
    for unit, written in value.items():
        if unit == SAT:
            amount = written if type(written) is int else None
        else:
            is_money = type(written) is str and _is_currency(unit)
            amount = parse_minor(written, unit) if is_money else None
            if amount is not None and format_minor(amount, unit) != written:
                return None
        if amount is None or not _is_bounded(unit, amount):
            return None
        sums[unit] = amount
    return sums


def _is_bounded(unit: str, amount: int) -> bool:
    return 0 <= amount <= (SATS_SUM_MAX if unit == SAT else MINOR_SUM_MAX)


def _sums_bytes(sums: Sums) -> bytes:
    """Return sums as they are hashed: canonical JSON (journal/entry.py)."""
    return orjson.dumps(sums_view(sums), option=orjson.OPT_SORT_KEYS)


# --- hashes -----------------------------------------------------------------------------------------------------------


class _Tagged:
    """The tagged hash of BIP-340: sha256(sha256(tag) | sha256(tag) | message). No leaf can pass for a node."""

    def __init__(self, tag: str) -> None:
        tag_hash = sha256(tag.encode()).digest()
        self._begun = sha256(tag_hash + tag_hash)

    def of(self, message: bytes) -> bytes:
        hashing = self._begun.copy()
        hashing.update(message)
        return hashing.digest()


_LEAF = _Tagged("nostrbot/liabilities/leaf")
_NODE = _Tagged("nostrbot/liabilities/node")
_ROOT = _Tagged("nostrbot/liabilities/root")

NOBODY = Node(bytes(32), {SAT: 0})  # the top of a tree without leaves


def leaf_node(leaf: Leaf) -> Node:
    """Make a leaf a node. Raises BooksError for a sum that is negative or beyond all bounds."""
    _refuse_unbounded(leaf.sums)
    message = leaf.salt + bytes.fromhex(leaf.lp) + leaf.part.to_bytes(1, "big") + _sums_bytes(leaf.sums)
    return Node(_LEAF.of(message), leaf.sums)


def join(left: Node, right: Node) -> Node:
    """Join two nodes into the node above. Raises BooksError if a sum grows beyond all bounds."""
    sums = {unit: amount + right.sums[unit] for unit, amount in left.sums.items()}
    _refuse_unbounded(sums)
    message = left.hash + right.hash + _sums_bytes(left.sums) + _sums_bytes(right.sums)
    return Node(_NODE.of(message), sums)


def root_of(standpoint: Standpoint, top: Node) -> str:
    """Return the root, in hex: the top of the tree, bound to bot, book and entry."""
    return _ROOT.of(
        bytes.fromhex(standpoint.bot)
        + bytes.fromhex(standpoint.book)
        + standpoint.seq.to_bytes(8, "big")
        + bytes.fromhex(standpoint.head)
        + top.hash
        + _sums_bytes(top.sums)
    ).hex()


def climb(node: Node, path: Iterable[Step]) -> Node:
    """Climb from a node to the top by a path. All sums must have the same units. Raises BooksError as join() does."""
    for side, neighbour in path:
        node = join(neighbour, node) if side is Side.LEFT else join(node, neighbour)
    return node


def _refuse_unbounded(sums: Sums) -> None:
    for unit, amount in sums.items():
        if not _is_bounded(unit, amount):
            raise BooksError(f"the tree of liabilities cannot hold {amount} {unit}")


# --- the tree ---------------------------------------------------------------------------------------------------------


class Leaves(NamedTuple):
    """The seed of a tree: 32 secret bytes, and what each LP is owed, by public key."""

    seed: bytes
    balances: Mapping[str, Sums]

    def body(self) -> bytes:
        """Return the leaves as they are kept."""
        balances = {lp: sums_view(owed) for lp, owed in self.balances.items()}
        return orjson.dumps({"seed": self.seed.hex(), "balances": balances})


def reading_leaves(body: bytes) -> Generator[None, None, Leaves]:
    """Read what Leaves.body() wrote piece by piece."""
    fields = orjson.loads(body)
    balances: dict[str, Sums] = {}
    for nth, (lp, owed) in enumerate(fields["balances"].items(), start=1):
        balances[lp] = read_sums(owed) or {}
        if nth % LPS_AT_ONCE == 0:
            yield
    return Leaves(bytes.fromhex(fields["seed"]), balances)


class Tree:
    """All leaves and the nodes above them. Leaves are ordered by their hash, so that a place says nothing of
    anybody.
    """

    def __init__(self, leaves: Leaves) -> None:
        """Raises BooksError for what is negative or beyond all bounds."""
        self._places: dict[tuple[str, int], int] = {}
        self._leaves: list[Leaf] = []
        self._levels: list[list[Node]] = [[]]
        for _ in self._grow(leaves):
            pass

    @classmethod
    def growing(cls, leaves: Leaves) -> Generator[None, None, "Tree"]:
        """Grow a tree piece by piece, so that the caller may do something else between. Raises as Tree() does."""
        tree = cls(Leaves(leaves.seed, {}))
        yield from tree._grow(leaves)
        return tree

    def _grow(self, leaves: Leaves) -> Iterator[None]:
        units = sorted(add_up(leaves.balances.values()))
        placed = []
        for nth, (lp, owed) in enumerate(leaves.balances.items(), start=1):
            whole = {unit: owed.get(unit, 0) for unit in units}
            placed += [(leaf_node(leaf), leaf) for leaf in _cut(lp, whole, leaves.seed)]
            if nth % LPS_AT_ONCE == 0:
                yield
        placed.sort(key=lambda of: of[0].hash)
        self._places = {(leaf.lp, leaf.part): place for place, (_, leaf) in enumerate(placed)}
        self._leaves = [leaf for _, leaf in placed]
        self._levels = [[node for node, _ in placed]]
        yield
        while len(self._levels[-1]) > 1:
            above, level = list[Node](), self._levels[-1]
            for first in range(0, len(level), 2 * LPS_AT_ONCE):
                above += _level_above(level[first : first + 2 * LPS_AT_ONCE])
                yield
            self._levels.append(above)

    @property
    def top(self) -> Node:
        """The one node under the root."""
        return self._levels[-1][0] if self._leaves else NOBODY

    def leaves_of(self, lp: str) -> list[tuple[Leaf, list[Step]]] | None:
        """Return an LP's leaves, each with its way to the top; None if it is not in the tree."""
        if (lp, 0) not in self._places:
            return None
        places = [self._places[lp, part] for part in range(PARTS)]
        return [(self._leaves[place], self._path(place)) for place in places]

    def _path(self, place: int) -> list[Step]:
        path = []
        for level in self._levels[:-1]:
            neighbour = place ^ 1
            if neighbour < len(level):  # the odd one out goes up as it is
                path.append(Step(Side.LEFT if neighbour < place else Side.RIGHT, level[neighbour]))
            place //= 2
        return path


def _level_above(level: list[Node]) -> list[Node]:
    """Join pairs. An odd last node goes up as it is: a copy of it would be counted twice (CVE-2012-2459)."""
    joined = [join(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    return joined + level[-1:] if len(level) % 2 else joined


def _cut(lp: str, owed: Sums, seed: bytes) -> list[Leaf]:
    """Cut an LP's balances in two pieces, each amount at a random place."""
    _refuse_unbounded(owed)
    first = {unit: _below(amount + 1, seed, f"cut:{unit}:{lp}") for unit, amount in owed.items()}
    rest = {unit: amount - first[unit] for unit, amount in owed.items()}
    return [Leaf(lp, part, _derived(seed, f"salt:{part}:{lp}"), sums) for part, sums in enumerate((first, rest))]


def _below(end: int, seed: bytes, purpose: str) -> int:
    """Return a number from 0 to below `end`, as good as random: 256 bits are many more than any amount has."""
    return int.from_bytes(_derived(seed, purpose), "big") % end


def _derived(seed: bytes, purpose: str) -> bytes:
    return hmac.digest(seed, purpose.encode(), "sha256")
