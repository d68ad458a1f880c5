"""Proofs: whether an LP's balances are in what a bot signed. Anybody can run this, and it asks nobody.

What lives here: reading a proof and a checkpoint as strangers hand them over, and computing the root again. What does
not: how either is made (core/proofs/liabilities.py, core/proofs/checkpoint.py). docs/protocol.md section 7; faults.md
rows 87, 88.

Everything in a proof is bound by a hash or a signature: a file with one digit changed is refused, whichever it is.
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from nostrbot.core.proofs.checkpoint import VERSION, Checkpoint, read_checkpoint
from nostrbot.core.proofs.liabilities import (
    PARTS,
    PATH_MAX,
    Leaf,
    Node,
    Side,
    Step,
    Sums,
    add_up,
    climb,
    leaf_node,
    read_sums,
    root_of,
)
from nostrbot.errors import BooksError
from nostrbot.nostr.duplicate_keys import has_duplicate_keys
from nostrbot.nostr.event import read_event
from nostrbot.refusals import Reason, Refusal

PAPER_BYTES_MAX = 256 * 1024  # an answer of the bot has 40 KiB at most
PROOF_FIELDS = {"v", "bot", "book", "checkpoint", "seq", "head", "lp", "balances", "leaves"}
LEAF_FIELDS = {"salt", "balances", "path"}
STEP_FIELDS = {"side", "hash", "liabilities"}

_is_hash = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


class Proven(NamedTuple):
    """An LP (hex) was owed these balances when the checkpoint was signed."""

    lp: str
    balances: Sums
    checkpoint: Checkpoint


class _Claim(NamedTuple):
    """A proof of the right shape; nothing of it is checked."""

    fields: dict[str, Any]
    balances: Sums
    leaves: list[tuple[Leaf, list[Step]]]


def check_proof(proof: bytes, checkpoint: bytes, *, bot: str | None = None, lp: str | None = None) -> Proven | Refusal:
    """Check a proof (what `proof --json` answered, its `data`, or the proof in it) against a checkpoint's event.

    `bot`, `lp`: the keys (hex) they must belong to; None if any will do. A refusal says what is wrong, for people.
    """
    signed = read_signed(checkpoint)
    if isinstance(signed, Refusal):
        return signed
    claim = _read_claim(proof)
    if isinstance(claim, Refusal):
        return claim
    return _find_mismatch(claim, signed, bot, lp) or _compute(claim, signed)


def read_signed(raw: bytes) -> Checkpoint | Refusal:
    """Return a checkpoint from the JSON of its event, id and signature checked."""
    event = read_event(read_paper(raw))
    if isinstance(event, Refusal):
        return _refused(f"the checkpoint is not an event that its author signed ({event.reason})")
    return read_checkpoint(event)


def _find_mismatch(claim: _Claim, signed: Checkpoint, bot: str | None, lp: str | None) -> Refusal | None:
    if bot not in (None, signed.standpoint.bot):
        return _refused("the checkpoint is signed by another bot")
    if lp not in (None, claim.fields["lp"]):
        return _refused("the proof belongs to another LP")
    standpoint = signed.standpoint
    wanted = {
        "checkpoint": signed.id,
        "bot": standpoint.bot,
        "book": standpoint.book,
        "seq": standpoint.seq,
        "head": standpoint.head,
    }
    for name, value in wanted.items():
        if claim.fields[name] != value:
            return _refused(f"proof and checkpoint do not belong together: `{name}` differs")
    return None


def _compute(claim: _Claim, signed: Checkpoint) -> Proven | Refusal:
    if add_up(leaf.sums for leaf, _ in claim.leaves) != claim.balances:
        return _refused("the balances are not the sum of their two leaves")
    for leaf, path in claim.leaves:
        if any(sums.keys() != signed.liabilities.keys() for sums in (leaf.sums, *(step.node.sums for step in path))):
            return _refused("a sum of the proof is in other units than the checkpoint's")
        try:
            top = climb(leaf_node(leaf), path)
        except BooksError:
            return _refused("the sums of the proof grow beyond all bounds")
        if root_of(signed.standpoint, top) != signed.root or top.sums != signed.liabilities:
            return _refused("the proof does not lead to the root that was signed")
    return Proven(claim.fields["lp"], claim.balances, signed)


# --- reading ----------------------------------------------------------------------------------------------------------


def read_paper(raw: bytes) -> Any:
    """Read JSON; None if it is too long, malformed, or has a key twice."""
    if len(raw) > PAPER_BYTES_MAX:
        return None
    try:
        decoded = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return None if has_duplicate_keys(raw, decoded) else decoded


def _read_claim(raw: bytes) -> _Claim | Refusal:
    fields = _unwrapped(read_paper(raw))
    if not _has(fields, PROOF_FIELDS):
        return _refused("the file is not a proof: keep the whole answer to `proof --json`, and nothing else")
    hashes = [fields[name] for name in ("bot", "book", "checkpoint", "head", "lp")]
    if (type(fields["v"]), fields["v"], type(fields["seq"])) != (int, VERSION, int) or not _are_hashes(hashes):
        return _refused("the proof is not of version 1")
    balances = read_sums(fields["balances"])
    leaves = _read_leaves(fields["lp"], fields["leaves"])
    if balances is None or leaves is None:
        return _refused("the proof has another form than a bot's proof: a field, an amount or a hash is malformed")
    return _Claim(fields, balances, leaves)


def _unwrapped(decoded: Any) -> Any:
    """Return the proof in an answer, or in an answer's data."""
    if _has(decoded, {"ok", "command", "data"}) and decoded["ok"] is True and decoded["command"] == "proof":
        decoded = decoded["data"]
    return decoded["proof"] if _has(decoded, {"proof"}) else decoded


def _read_leaves(lp: str, value: Any) -> list[tuple[Leaf, list[Step]]] | None:
    if type(value) is not list or len(value) != PARTS:
        return None
    leaves = []
    for part, one in enumerate(value):
        if not _has(one, LEAF_FIELDS) or not _are_hashes([one["salt"]]):
            return None
        sums, path = read_sums(one["balances"]), _read_path(one["path"])
        if sums is None or path is None:
            return None
        leaves.append((Leaf(lp, part, bytes.fromhex(one["salt"]), sums), path))
    return leaves


def _read_path(value: Any) -> list[Step] | None:
    if type(value) is not list or len(value) > PATH_MAX:
        return None
    path = []
    for one in value:
        if not _has(one, STEP_FIELDS) or one["side"] not in list(Side) or not _are_hashes([one["hash"]]):
            return None
        sums = read_sums(one["liabilities"])
        if sums is None:
            return None
        path.append(Step(Side(one["side"]), Node(bytes.fromhex(one["hash"]), sums)))
    return path


def _has(value: Any, names: set[str]) -> bool:
    """Whether a value is an object with exactly these fields."""
    return type(value) is dict and value.keys() == names


def _are_hashes(values: Iterable[Any]) -> bool:
    return all(type(value) is str and _is_hash(value) for value in values)


def _refused(sentence: str) -> Refusal:
    return Refusal(Reason.INVALID, sentence)
