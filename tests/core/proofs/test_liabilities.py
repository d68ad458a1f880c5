"""The tree of liabilities: every LP's balances are in it, no debt can be left out, and nobody reads another's in it.

The checker asked here is the auditor's; an independent one, written from docs/protocol.md alone, agrees with it.
faults.md row 88.
"""

import json
from collections.abc import Generator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.proofs.checkpoint import Checkpoint, proof_view
from nostrbot.core.proofs.liabilities import (
    LPS_AT_ONCE,
    NOBODY,
    Leaf,
    Leaves,
    Node,
    Standpoint,
    Step,
    Tree,
    add_up,
    balances_of,
    climb,
    join,
    leaf_node,
    liabilities_of,
    read_sums,
    reading_leaves,
    root_of,
    sums_view,
)
from nostrbot.errors import BooksError
from nostrbot.views.records import balance_rows
from tests.houses import House, person

SEED = bytes(range(32))
STANDPOINT = Standpoint("b0" * 32, "0a" * 32, 7, "cd" * 32)
Balances = dict[str, dict[str, int]]

balances_st = st.lists(
    st.fixed_dictionaries(
        {"sat": st.integers(0, 10**12)}, optional={"GTQ": st.integers(0, 10**9), "JPY": st.integers(0, 99)}
    ),
    max_size=17,
).map(lambda owed: {key(n): sums for n, sums in enumerate(owed)})


def in_pieces(work: Generator[None, None, Any]) -> tuple[Any, int]:
    """What comes of work that is done piece by piece, and in how many pieces it was."""
    pieces = 0
    while True:
        try:
            next(work)
            pieces += 1
        except StopIteration as done:
            return done.value, pieces


def at_once(work: Generator[None, None, Any]) -> Any:
    return in_pieces(work)[0]


def key(n: int) -> str:
    """Somebody's public key."""
    return sha256(f"lp {n}".encode()).hexdigest()


def proof_of(balances: Balances, lp: str) -> dict[str, Any]:
    """An LP's proof, as the bot gives it."""
    tree = Tree(Leaves(SEED, balances))
    checkpoint = Checkpoint("ee" * 32, STANDPOINT, root_of(STANDPOINT, tree.top), tree.top.sums, None, 1)
    leaves = tree.leaves_of(lp)
    assert leaves is not None
    view: dict[str, Any] = json.loads(
        json.dumps(proof_view(checkpoint, add_up(leaf.sums for leaf, _ in leaves), leaves))
    )
    return view


# --- what is owed --------------------------------------------------------------------------------------------------


def test_balances_are_what_balance_answers() -> None:
    """Sats once an LP, cash over all machines of a currency; an LP without anything is owed nothing, and is there."""
    house = House.open()
    house.add_machine("m2")
    house.add_machine("m3", fiat="USD")
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    house.add_lp("ana", "300.50", "m2")
    house.add_lp("ana", "77", "m3")
    house.say("operator", "lp add @eva machine=m1 name=eva")
    house.sell()
    ana, ben, eva = (person(name).pubkey for name in ("ana", "ben", "eva"))
    assert balances_of(house.book) == {
        ana: {"sat": 90_000, "GTQ": 750_050, "USD": 7_700},
        ben: {"sat": 10_000, "GTQ": 80_000},
        eva: {"sat": 0, "GTQ": 0},
    }
    assert liabilities_of(house.book) == {"sat": 100_000, "GTQ": 830_050, "USD": 7_700}
    rows = balance_rows(house.book, house.book.lps["ana"])
    assert [(row["remaining"], row["currency"], row["sats"]) for row in rows] == [
        ("7200.00", "GTQ", 90_000),
        ("300.50", "GTQ", 90_000),
        ("77.00", "USD", 90_000),
    ]


def test_a_book_without_lps_owes_no_sats() -> None:
    """Sats are always said; the currency of a machine where nobody is is not."""
    assert liabilities_of(House.open().book) == {"sat": 0}
    assert Tree(Leaves(SEED, {})).top == NOBODY
    assert Tree(Leaves(SEED, {})).leaves_of(key(0)) is None


# --- the tree ------------------------------------------------------------------------------------------------------


@given(balances_st)
def test_every_lp_climbs_to_the_same_top_with_its_own_balances(balances: Balances) -> None:
    """However many there are, odd or even: two different leaves each, whose sums are its balances, below one top."""
    tree = Tree(Leaves(SEED, balances))
    assert tree.top.sums == add_up(balances.values())
    hashes = set()
    for lp, owed in balances.items():
        leaves = tree.leaves_of(lp)
        assert leaves is not None
        assert [leaf.lp for leaf, _ in leaves] == [lp, lp]
        assert {unit: amount for unit, amount in add_up(leaf.sums for leaf, _ in leaves).items() if amount} == {
            unit: amount for unit, amount in owed.items() if amount
        }
        for leaf, path in leaves:
            hashes.add(leaf_node(leaf).hash)
            assert climb(leaf_node(leaf), path) == tree.top
    assert len(hashes) == 2 * len(balances)


@given(balances_st, st.randoms(use_true_random=False))
def test_places_say_nothing_of_who_came_first(balances: Balances, pick: Any) -> None:
    """The same balances in another order of enrolment are the same tree."""
    items = list(balances.items())
    pick.shuffle(items)
    assert Tree(Leaves(SEED, dict(items))).top == Tree(Leaves(SEED, balances)).top


def test_leaves_of_two_checkpoints_cannot_be_matched() -> None:
    """Another seed: no salt, no hash and no piece of a balance is the same, although nothing else changed."""
    balances = {key(n): {"sat": 10**9 + n} for n in range(8)}
    first, second = (
        [leaf for lp in balances for leaf, _ in tree.leaves_of(lp) or []]
        for tree in (Tree(Leaves(SEED, balances)), Tree(Leaves(bytes(32), balances)))
    )
    for of in (lambda leaf: leaf.salt, lambda leaf: leaf_node(leaf).hash, lambda leaf: leaf.sums["sat"]):
        assert not {of(leaf) for leaf in first} & {of(leaf) for leaf in second}


def test_a_neighbour_is_a_piece_of_a_balance() -> None:
    """What a proof shows of others is never what any one LP is owed, with three LPs as little as with fifty."""
    for count in (3, 4, 50):
        balances = {key(n): {"sat": 10**9 + n, "GTQ": 10**7 + n} for n in range(count)}
        whole = {owed["sat"] for owed in balances.values()}
        tree = Tree(Leaves(SEED, balances))
        for lp in balances:
            for _, path in tree.leaves_of(lp) or []:
                assert path[0].node.sums["sat"] not in whole


def test_a_negative_leaf_is_refused_by_the_builder() -> None:
    """faults.md row 88: nobody's debt is made to vanish behind somebody who owes the bot."""
    for wrong in ({"sat": -1}, {"sat": 0, "GTQ": -1}, {"sat": 2**53}, {"sat": 0, "GTQ": 10**40}):
        with pytest.raises(BooksError, match="cannot hold"):
            Tree(Leaves(SEED, {key(0): {"sat": 5}, key(1): wrong}))
    with pytest.raises(BooksError, match="cannot hold"):
        leaf_node(Leaf(key(0), 0, SEED, {"sat": -1}))


def test_sums_that_grow_beyond_all_bounds_are_refused() -> None:
    """Each fits, both do not: nothing wraps around."""
    big = Node(SEED, {"sat": 2**53 - 1})
    with pytest.raises(BooksError, match="cannot hold"):
        join(big, Node(SEED, {"sat": 1}))
    assert join(big, Node(SEED, {"sat": 0})).sums == {"sat": 2**53 - 1}


@given(balances_st.filter(lambda balances: len(balances) > 1), st.data())
def test_an_understated_sum_breaks_the_root(balances: Balances, data: st.DataObject) -> None:
    """A node commits to both its children's sums: saying less of a neighbour anywhere on the way leads elsewhere."""
    tree = Tree(Leaves(SEED, balances))
    lp = data.draw(st.sampled_from(sorted(balances)))
    leaves = tree.leaves_of(lp)
    assert leaves is not None
    leaf, path = data.draw(st.sampled_from(leaves))
    at = data.draw(st.integers(0, len(path) - 1))
    side, node = path[at]
    less = Step(side, Node(node.hash, node.sums | {"sat": max(0, node.sums["sat"] - 1)}))
    if less.node != node:
        top = climb(leaf_node(leaf), [*path[:at], less, *path[at + 1 :]])
        assert top.hash != tree.top.hash
        # Not even if what is taken from one child is given to the other.
        left = join(Node(SEED, {"sat": 5}), Node(SEED, {"sat": 3}))
        assert left.hash != join(Node(SEED, {"sat": 4}), Node(SEED, {"sat": 4})).hash


def test_a_root_is_of_one_bot_one_book_and_one_entry() -> None:
    """The same tree under another standpoint is another root."""
    top = Tree(Leaves(SEED, {key(0): {"sat": 1}})).top
    roots = {
        root_of(one, top)
        for one in (
            STANDPOINT,
            STANDPOINT._replace(bot="b1" * 32),
            STANDPOINT._replace(book="0b" * 32),
            STANDPOINT._replace(seq=8),
            STANDPOINT._replace(head="ce" * 32),
        )
    }
    assert len(roots) == 5


# --- as it is written ----------------------------------------------------------------------------------------------


@given(balances_st)
def test_what_is_written_is_read_back(balances: Balances) -> None:
    """Sums and leaves survive being written, and there is one way to write a sum."""
    assert at_once(reading_leaves(Leaves(SEED, balances).body())) == Leaves(SEED, balances)
    for owed in balances.values():
        assert read_sums(sums_view(owed)) == owed


@pytest.mark.parametrize(
    "written",
    [
        None, [], {}, {"GTQ": "1.00"}, {"sat": -1}, {"sat": "1"}, {"sat": True}, {"sat": 1.0}, {"sat": None},
        {"sat": 2**53}, {"sat": 0, "GTQ": 1}, {"sat": 0, "gtq": "1.00"}, {"sat": 0, "\x1b[2J": "1.00"}, {"sat": 0, "GTQ": "1"}, {"sat": 0, "GTQ": "01.00"},
        {"sat": 0, "GTQ": "1.000"}, {"sat": 0, "GTQ": "-1.00"}, {"sat": 0, "GTQ": "-0.00"}, {"sat": 0, "GTQ": "1e2"},
        {"sat": 0, "GTQ": ""}, {"sat": 0, "GTQ": "١.00"}, {"sat": 0, "JPY": "1.00"}, {"sat": 0, "GTQ": "9" * 39 + ".00"},
    ],
)  # fmt: skip
def test_sums_are_written_in_one_way_only(written: object) -> None:
    """Anything else would be two files for one proof, or a debt below zero."""
    assert read_sums(written) is None


# --- written from the document alone -------------------------------------------------------------------------------


def tagged(tag: str, message: bytes) -> bytes:
    """BIP-340's tagged hash."""
    prefix = sha256(f"nostrbot/liabilities/{tag}".encode()).digest()
    return sha256(prefix + prefix + message).digest()


def compact(value: object) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def plus(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Sums of sats and of two-decimal fiat."""
    total: dict[str, Any] = {"sat": one["sat"] + other["sat"]}
    for unit in one.keys() - {"sat"}:
        cents = int(one[unit].replace(".", "")) + int(other[unit].replace(".", ""))
        total[unit] = f"{cents // 100}.{cents % 100:02}"
    return total


def independent_root(proof: dict[str, Any], part: int) -> str:
    """The root a leaf of a proof leads to, by docs/protocol.md section 7."""
    leaf = proof["leaves"][part]
    sums = leaf["balances"]
    here = tagged("leaf", bytes.fromhex(leaf["salt"]) + bytes.fromhex(proof["lp"]) + bytes([part]) + compact(sums))
    for step in leaf["path"]:
        mine, other = (here, sums), (bytes.fromhex(step["hash"]), step["liabilities"])
        left, right = (other, mine) if step["side"] == "left" else (mine, other)
        here = tagged("node", left[0] + right[0] + compact(left[1]) + compact(right[1]))
        sums = plus(left[1], right[1])
    whose = bytes.fromhex(proof["bot"] + proof["book"]) + proof["seq"].to_bytes(8, "big") + bytes.fromhex(proof["head"])
    return tagged("root", whose + here + compact(sums)).hex()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=9))
def test_a_client_written_from_the_document_agrees(amounts: list[int]) -> None:
    """Tags, byte layouts and order are those of the document: both leaves of everybody lead to the root."""
    balances = {key(n): {"sat": amount, "GTQ": amount % 997} for n, amount in enumerate(amounts)}
    root = root_of(STANDPOINT, Tree(Leaves(SEED, balances)).top)
    for lp in balances:
        assert [independent_root(proof_of(balances, lp), part) for part in (0, 1)] == [root, root]


def test_the_example_of_the_document() -> None:
    """Every hash of the example in docs/protocol.md is what the bot computes, for ever."""
    lp = "ab" * 32
    tree = Tree(Leaves(SEED, {lp: {"sat": 90_000, "GTQ": 720_000}}))
    leaves = tree.leaves_of(lp)
    assert leaves is not None
    shown = [leaf.salt.hex() for leaf, _ in leaves]
    shown += [compact(sums_view(leaf.sums)).decode() for leaf, _ in leaves]
    shown += [leaf_node(leaf).hash.hex() for leaf, _ in leaves]
    shown += [tree.top.hash.hex(), root_of(STANDPOINT, tree.top)]
    document = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    assert [one for one in shown if f"`{one}`" not in document] == []
    assert independent_root(proof_of({lp: {"sat": 90_000, "GTQ": 720_000}}, lp), 0) == shown[-1]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_a_tree_that_grows_piece_by_piece_is_the_same(count: int) -> None:
    """And so are leaves that are read so: a checkpoint of ten thousand LPs holds nobody up."""
    balances = {key(n): {"sat": n, "GTQ": 7 * n} for n in range(count)}
    leaves = Leaves(SEED, balances)
    tree, pieces = in_pieces(Tree.growing(leaves))
    assert tree.top == Tree(leaves).top
    assert pieces >= count // LPS_AT_ONCE
    assert at_once(reading_leaves(leaves.body())) == leaves
