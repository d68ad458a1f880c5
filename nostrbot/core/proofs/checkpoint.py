"""Checkpoints: what a bot signs about a book, and the proof that an LP's balances are in it.

What lives here: both as they are written, and a checkpoint as it is read. What does not: the tree (liabilities.py),
when one is signed and where it is kept (runtime/notary.py), checking a proof (audit/proof.py). docs/protocol.md section
7.

A checkpoint is no entry: it would move the head it speaks of.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from nostrbot.core.plain import View
from nostrbot.core.proofs.liabilities import Leaf, Standpoint, Step, Sums, Tree, read_sums, root_of, sums_view
from nostrbot.nostr import kinds
from nostrbot.nostr.event import INT_MAX, VerifiedEvent
from nostrbot.refusals import Reason, Refusal

VERSION = 1
SUBJECT = "nostrbot-checkpoint:"  # and the book, in the `d` tag
FIELDS = {"v", "seq", "head", "liabilities_root", "liabilities", "prev"}
CONTENT_CHARS_MAX = 32_768

_is_hash = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was signed. `prev`: the id of the one before; `at`: unix seconds, as its event is dated."""

    id: str
    standpoint: Standpoint
    root: str
    liabilities: Sums
    prev: str | None
    at: int


def subject_of(book: str) -> str:
    """Return the `d` tag of a book's checkpoints."""
    return SUBJECT + book


def checkpoint_content(standpoint: Standpoint, tree: Tree, prev: str | None) -> str:
    """Return the content to sign, as canonical JSON."""
    content = {
        "v": VERSION,
        "seq": standpoint.seq,
        "head": standpoint.head,
        "liabilities_root": root_of(standpoint, tree.top),
        "liabilities": sums_view(tree.top.sums),
        "prev": prev,
    }
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def read_checkpoint(event: VerifiedEvent) -> Checkpoint | Refusal:
    """Read a checkpoint. Refuses content that no bot would have signed: there is only one way to write it."""
    book = (event.tag_value("d") or "").removeprefix(SUBJECT)
    if event.kind != kinds.APP_DATA or event.tag_value("d") != subject_of(book) or not _is_hash(book):
        return _no_checkpoint("it is an event about something else")
    if len(event.content) > CONTENT_CHARS_MAX:
        return _no_checkpoint("it is too long")
    try:
        content = orjson.loads(event.content)
    except orjson.JSONDecodeError:
        return _no_checkpoint("its content is not JSON")
    if type(content) is not dict or set(content) != FIELDS or (type(content["v"]), content["v"]) != (int, VERSION):
        return _no_checkpoint("its content is not of version 1")
    seq, prev, liabilities = content["seq"], content["prev"], read_sums(content["liabilities"])
    if type(seq) is not int or not 1 <= seq <= INT_MAX or liabilities is None:
        return _no_checkpoint("its numbers are not what they must be")
    hashes = [content["head"], content["liabilities_root"], *([] if prev is None else [prev])]
    if not all(type(one) is str and _is_hash(one) for one in hashes):
        return _no_checkpoint("its hashes are not what they must be")
    if orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode() != event.content:
        return _no_checkpoint("its content is not canonical JSON")
    standpoint = Standpoint(event.pubkey, book, seq, content["head"])
    return Checkpoint(event.id, standpoint, content["liabilities_root"], liabilities, prev, event.created_at)


def _no_checkpoint(why: str) -> Refusal:
    return Refusal(Reason.INVALID, f"this is not a checkpoint: {why}")


def checkpoint_view(checkpoint: Checkpoint) -> View:
    """Return a checkpoint, as answers show it."""
    return {
        "id": checkpoint.id,
        "seq": checkpoint.standpoint.seq,
        "head": checkpoint.standpoint.head,
        "liabilities_root": checkpoint.root,
        "liabilities": sums_view(checkpoint.liabilities),
        "prev": checkpoint.prev,
        "at": checkpoint.at,
    }


def proof_view(checkpoint: Checkpoint, balances: Sums, leaves: list[tuple[Leaf, list[Step]]]) -> View:
    """Return the proof that an LP's balances are in a checkpoint: its leaves, each with its way up."""
    standpoint = checkpoint.standpoint
    return {
        "v": VERSION,
        "bot": standpoint.bot,
        "book": standpoint.book,
        "checkpoint": checkpoint.id,
        "seq": standpoint.seq,
        "head": standpoint.head,
        "lp": leaves[0][0].lp,
        "balances": sums_view(balances),
        "leaves": [
            {"salt": leaf.salt.hex(), "balances": sums_view(leaf.sums), "path": [_step_view(step) for step in path]}
            for leaf, path in leaves
        ],
    }


def _step_view(step: Step) -> dict[str, Any]:
    return {"side": step.side, "hash": step.node.hash.hex(), "liabilities": sums_view(step.node.sums)}
