"""Liabilities: what a checkpoint over ten thousand LPs costs, and one LP's proof.

What lives here: growing the tree, signing over it, making a proof, checking it. What does not: committing and publishing.
The peer is bare sha256 over as many bytes as the tree hashes: what a tree must cost however it is written.
"""

from collections.abc import Callable
from hashlib import sha256
from time import perf_counter
from typing import TypeVar

import orjson

from bench.figures import Aim, Figure
from bench.house import House, keys_of
from nostrbot.audit.proof import Proven, check_proof
from nostrbot.core.proofs.checkpoint import Checkpoint, checkpoint_content, proof_view, read_checkpoint, subject_of
from nostrbot.core.proofs.liabilities import Leaves, Standpoint, Tree, add_up
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, sign_event

T = TypeVar("T")

LP_COUNT = 10_000
CHECKPOINT_AIM_S = 1.0  # it is made on a thread, once a day
NODE_BYTES = 160  # two hashes and two sums of two units, about


def measure(*, quick: bool) -> list[Figure]:
    """Seconds and sizes with 10,000 LPs."""
    count, rounds = (200, 1) if quick else (LP_COUNT, 5)
    leaves, standpoint = _leaves(count), Standpoint(keys_of("bot").pubkey, House(0).operator.pubkey, 1_000, "ab" * 32)
    tree_s, tree = _best(lambda: Tree(leaves), rounds)
    sign_s, event = _best(lambda: _sign(standpoint, tree), rounds)
    checkpoint = read_checkpoint(event)
    assert isinstance(checkpoint, Checkpoint)
    lp = next(iter(leaves.balances))
    proof_s, proof = _best(lambda: _proof(checkpoint, tree, lp), rounds)
    signed = orjson.dumps(event.plain())
    check_s, proven = _best(lambda: check_proof(proof, signed), rounds)
    assert isinstance(proven, Proven)
    hashes_s, _ = _best(lambda: _hash(4 * count), rounds)
    return [
        Figure("LPs", count, ""),
        Figure("a checkpoint: tree and signature", tree_s + sign_s, "s", Aim(CHECKPOINT_AIM_S, below=True)),
        Figure("of it the signature", sign_s * 1e3, "ms"),
        Figure("bare sha256 of as many nodes: the peer", hashes_s, "s"),
        Figure("an LP's proof, made", proof_s * 1e3, "ms"),
        Figure("an LP's proof, checked", check_s * 1e3, "ms"),
        Figure("an LP's proof, as JSON", len(proof), "bytes"),
    ]


def _leaves(count: int) -> Leaves:
    lps = [sha256(b"lp %d" % number).hexdigest() for number in range(count)]
    return Leaves(bytes(32), {lp: {"sat": 1_000 * place, "GTQ": 200_000 + place} for place, lp in enumerate(lps)})


def _sign(standpoint: Standpoint, tree: Tree) -> VerifiedEvent:
    content = checkpoint_content(standpoint, tree, None)
    tags = [["d", subject_of(standpoint.book)]]
    return sign_event(keys_of("bot"), kind=kinds.APP_DATA, tags=tags, content=content, created_at=1_790_000_000)


def _proof(checkpoint: Checkpoint, tree: Tree, lp: str) -> bytes:
    leaves = tree.leaves_of(lp)
    assert leaves is not None
    return orjson.dumps({"proof": proof_view(checkpoint, add_up(leaf.sums for leaf, _ in leaves), leaves)})


def _hash(nodes: int) -> None:
    node = bytes(NODE_BYTES)
    for _ in range(nodes):
        sha256(node).digest()


def _best(work: Callable[[], T], rounds: int) -> tuple[float, T]:
    """The least seconds of some rounds, and what came out."""
    best_s = float("inf")
    for _ in range(rounds):
        started = perf_counter()
        made = work()
        best_s = min(best_s, perf_counter() - started)
    return best_s, made
