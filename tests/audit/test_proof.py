"""Proofs: what an LP can check without asking anybody, and every way of cheating it (faults.md rows 87, 88)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.audit.proof import PAPER_BYTES_MAX, Proven, check_proof
from nostrbot.core.proofs.checkpoint import checkpoint_content, proof_view, read_checkpoint, subject_of
from nostrbot.core.proofs.liabilities import Leaves, Standpoint, Step, Tree, add_up, balances_of
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.refusals import Refusal
from tests.houses import BOT, House, person

Plain = dict[str, Any]
ANA, BEN = person("ana").pubkey, person("ben").pubkey


def furnished() -> House:
    """Three LPs and a sale; eva has nothing."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    house.add_lp("eva")
    house.sell()
    return house


HOUSE = furnished()


def signed(house: House = HOUSE, prev: str | None = None) -> tuple[VerifiedEvent, Tree]:
    """The checkpoint of a house as it stands, and its tree."""
    standpoint = Standpoint(BOT.pubkey, house.book.key, house.chain.seq, house.chain.head)
    tree = Tree(Leaves(BOT.derive(house.chain.head.encode()), balances_of(house.book)))
    content = checkpoint_content(standpoint, tree, prev)
    event = sign_event(BOT, kind=78, tags=[["d", subject_of(house.book.key)]], content=content, created_at=house.now)
    return event, tree


def proof_in(event: VerifiedEvent, tree: Tree, lp: str) -> Plain:
    """What `proof --json` answers that LP, as its `data` has it."""
    checkpoint, leaves = read_checkpoint(event), tree.leaves_of(lp)
    assert not isinstance(checkpoint, Refusal)
    assert leaves is not None
    plain: Plain = json.loads(json.dumps(proof_view(checkpoint, add_up(leaf.sums for leaf, _ in leaves), leaves)))
    return plain


EVENT, TREE = signed()
PROOF = proof_in(EVENT, TREE, ANA)
CHECKPOINT = json.dumps(EVENT.plain(), separators=(",", ":")).encode()


def written(proof: object) -> bytes:
    """A file."""
    return json.dumps(proof, separators=(",", ":")).encode()


def refused(proof: object, checkpoint: bytes = CHECKPOINT, **whose: str) -> str:
    """Why a proof is not believed."""
    found = check_proof(proof if isinstance(proof, bytes) else written(proof), checkpoint, **whose)
    assert isinstance(found, Refusal), found
    return found.detail


@pytest.mark.parametrize("lp", ["ana", "ben", "eva"])
def test_each_lp_proves_its_own_balances(lp: str) -> None:
    """In any wrapping in which the answer may have been kept; an LP with nothing proves that as well."""
    owed = {"ana": ("7200.00", 90_000), "ben": ("800.00", 10_000), "eva": ("0.00", 0)}[lp]
    proof = proof_in(EVENT, TREE, person(lp).pubkey)
    assert proof["balances"] == {"GTQ": owed[0], "sat": owed[1]}
    for kept in (proof, {"proof": proof}, {"ok": True, "command": "proof", "data": {"proof": proof}}):
        for text in (written(kept), json.dumps(kept, indent=2).encode() + b"\n"):
            found = check_proof(text, CHECKPOINT, bot=BOT.pubkey, lp=person(lp).pubkey)
            assert isinstance(found, Proven)
            assert found.lp == person(lp).pubkey
            assert found.balances == {"GTQ": int(owed[0].replace(".", "")), "sat": owed[1]}
            assert found.checkpoint.liabilities == {"GTQ": 800_000, "sat": 100_000}
            assert found.checkpoint.standpoint.seq == HOUSE.chain.seq


def other(character: str) -> str:
    """Another character of the same kind, so that the file stays as plausible as it was."""
    if character.isdigit():
        return str((int(character) + 1) % 10)
    if character in "abcdef":
        return "b" if character == "a" else "a"
    return "x"


def changes(text: bytes) -> list[bytes]:
    """The text with one character changed, for each of its characters."""
    chars = text.decode()
    return [(chars[:at] + other(char) + chars[at + 1 :]).encode() for at, char in enumerate(chars)]


def test_a_proof_with_any_one_character_changed_is_refused() -> None:
    """Every digit of every field is bound, whichever wrapping it came in (row 87)."""
    answer = written({"ok": True, "command": "proof", "data": {"proof": PROOF}})
    assert isinstance(check_proof(answer, CHECKPOINT), Proven)
    believed = [changed for changed in changes(answer) if isinstance(check_proof(changed, CHECKPOINT), Proven)]
    assert believed == []


def test_a_checkpoint_with_any_one_character_changed_is_refused() -> None:
    """It is what its author signed, or nothing."""
    proof = written(PROOF)
    believed = [changed for changed in changes(CHECKPOINT) if isinstance(check_proof(proof, changed), Proven)]
    assert believed == []


def test_a_proof_is_of_one_lp_one_bot_and_one_checkpoint() -> None:
    """True proofs and true checkpoints that do not belong together are told apart by name (row 87)."""
    assert refused(PROOF, lp=BEN) == "the proof belongs to another LP"
    assert refused(PROOF, bot="ab" * 32) == "the checkpoint is signed by another bot"
    later = furnished()
    later.sell()
    event, tree = signed(later)
    differs = "proof and checkpoint do not belong together: `checkpoint` differs"
    assert refused(PROOF, json.dumps(event.plain()).encode()) == differs
    assert refused(proof_in(event, tree, ANA)) == differs
    assert refused(PROOF | {"lp": BEN}) == "the proof does not lead to the root that was signed"


def in_place(change: Callable[[Plain], object]) -> Plain:
    """The proof after a change to a copy of it."""
    proof: Plain = json.loads(json.dumps(PROOF))
    change(proof)
    return proof


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda proof: proof["leaves"].reverse(), "does not lead to the root"),
        (lambda proof: proof["leaves"].__setitem__(1, proof["leaves"][0]), "not the sum of their two leaves"),
        (lambda proof: proof["leaves"].pop(), "another form than a bot's proof"),
        (lambda proof: proof["leaves"][0]["path"].pop(), "does not lead to the root"),
        (lambda proof: proof["leaves"][0]["path"].extend([proof["leaves"][0]["path"][0]] * 64), "another form than"),
        (lambda proof: proof["leaves"][0]["path"][0].update(note="hello"), "another form than"),
        (lambda proof: proof["leaves"][0]["path"][0]["liabilities"].update(USD="0.00"), "in other units"),
        (
            lambda proof: proof["leaves"][0]["path"][0].update(liabilities={"sat": 2**53 - 1, "GTQ": "0.00"}),
            "all bounds",
        ),
        (lambda proof: proof["balances"].update(sat=90_001), "not the sum of their two leaves"),
        (lambda proof: proof["balances"].update(sat=-1), "another form than"),
        (lambda proof: proof["leaves"][0]["balances"].update(sat=-5), "another form than"),
        (lambda proof: proof["leaves"][0].update(salt="00"), "another form than"),
        (lambda proof: proof["leaves"][0]["path"][0].update(side="LEFT"), "another form than"),
        (lambda proof: proof["leaves"][0]["path"][0].update(side={}), "another form than"),
        (lambda proof: proof.update(lp=ANA.upper()), "not of version 1"),
        (lambda proof: proof.update(v=True), "not of version 1"),
        (lambda proof: proof.update(seq=float(proof["seq"])), "not of version 1"),
        (lambda proof: proof.update(note="hello"), "the file is not a proof"),
    ],
)
def test_a_proof_that_was_tampered_with(change: Callable[[Plain], object], why: str) -> None:
    """The refusal says what is wrong with it."""
    assert why in refused(in_place(change))


def test_the_same_leaf_twice_proves_nothing() -> None:
    """One leaf shown as both halves, with balances to match: each half is bound to its own number."""
    leaf = PROOF["leaves"][0]
    doubled = add_up([{"sat": leaf["balances"]["sat"]}] * 2)
    cents = 2 * int(leaf["balances"]["GTQ"].replace(".", ""))
    balances = {"sat": doubled["sat"], "GTQ": f"{cents // 100}.{cents % 100:02}"}
    assert "does not lead to the root" in refused(PROOF | {"leaves": [leaf, leaf], "balances": balances})


def test_a_tree_that_hides_a_debt_behind_a_negative_leaf_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 88: a bot whose builder minds nothing signs a root whose total is too small; the proofs of it are refused."""
    with monkeypatch.context() as careless:
        careless.setattr("nostrbot.core.proofs.liabilities._refuse_unbounded", lambda sums: None)
        balances = {ANA: {"sat": 90_000}, BEN: {"sat": -80_000}}
        tree = Tree(Leaves(bytes(32), balances))
    standpoint = Standpoint(BOT.pubkey, HOUSE.book.key, 5, "ab" * 32)
    content = checkpoint_content(standpoint, tree, None)
    event = sign_event(BOT, kind=78, tags=[["d", subject_of(HOUSE.book.key)]], content=content, created_at=1)
    checkpoint = json.dumps(event.plain()).encode()
    assert read_checkpoint(event).liabilities == {"sat": 10_000}  # type: ignore[union-attr]
    reasons = {refused(proof_in(event, tree, lp), checkpoint) for lp in (ANA, BEN)}
    assert len(reasons) == 1
    assert "another form than a bot's proof" in reasons.pop()


# --- checkpoints ---------------------------------------------------------------------------------------------------


def checkpoint_of(content: str, **changes: Any) -> bytes:
    """An event that the bot signed, whatever it says."""
    fields = {"kind": 78, "tags": [["d", subject_of(HOUSE.book.key)]], "content": content, "created_at": HOUSE.now}
    return json.dumps(sign_event(BOT, **(fields | changes)).plain()).encode()


def content_with(**changes: object) -> str:
    """The checkpoint's content with fields changed; None takes one away."""
    fields = json.loads(EVENT.content) | changes
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    ("checkpoint", "why"),
    [
        (b"", "not an event that its author signed (bad_shape)"),
        (b"[]", "not an event"),
        (CHECKPOINT.replace(b'"kind":78', b'"kind":78,"kind":78'), "not an event"),
        (checkpoint_of(EVENT.content, kind=1), "about something else"),
        (checkpoint_of(EVENT.content, tags=[]), "about something else"),
        (checkpoint_of(EVENT.content, tags=[["d", "nostrbot-checkpoint:antigua"]]), "about something else"),
        (checkpoint_of(EVENT.content, tags=[["d", HOUSE.book.key]]), "about something else"),
        (checkpoint_of("hello"), "not JSON"),
        (checkpoint_of("[]"), "not of version 1"),
        (checkpoint_of(content_with(v=2)), "not of version 1"),
        (checkpoint_of(content_with(v=True)), "not of version 1"),
        (checkpoint_of(content_with(more=1)), "not of version 1"),
        (checkpoint_of(content_with(seq=0)), "numbers"),
        (checkpoint_of(content_with(seq="5")), "numbers"),
        (checkpoint_of(content_with(liabilities={"sat": -1})), "numbers"),
        (checkpoint_of(content_with(liabilities={"GTQ": "1.00"})), "numbers"),
        (checkpoint_of(content_with(head="AB" * 32)), "hashes"),
        (checkpoint_of(content_with(prev="")), "hashes"),
        (checkpoint_of(content_with(liabilities_root=5)), "hashes"),
        (checkpoint_of(EVENT.content + " "), "canonical"),
        (checkpoint_of("[" * 20_000), "not JSON"),
        (checkpoint_of(" " * 40_000), "too long"),
    ],
)
def test_what_is_no_checkpoint(checkpoint: bytes, why: str) -> None:
    """Signed or not, it is refused for what it is."""
    assert why in refused(PROOF, checkpoint)


def test_a_file_of_any_size_is_not_read() -> None:
    """Memory stays bounded."""
    assert "not a proof" in refused(written(PROOF) + b" " * PAPER_BYTES_MAX)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.booleans())
def test_rubbish_is_refused_and_never_raises(rubbish: bytes, is_proof: bool) -> None:
    """Whatever a file holds."""
    found = check_proof(rubbish, CHECKPOINT) if is_proof else check_proof(written(PROOF), rubbish)
    assert isinstance(found, Refusal)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["sat", "GTQ", "path", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(value=values, data=st.data())
def test_any_field_may_be_anything_and_never_raises(value: object, data: st.DataObject) -> None:
    """A proof with a value of another shape in any place."""
    proof: Plain = json.loads(json.dumps(PROOF))
    leaf = proof["leaves"][0]
    places: list[tuple[Any, Any]] = [(proof, name) for name in proof]
    places += (
        [(leaf, name) for name in leaf] + [(leaf["path"][0], name) for name in leaf["path"][0]] + [(leaf["path"], 0)]
    )
    holder, name = data.draw(st.sampled_from(places))
    was, holder[name] = holder[name], value
    if value != was:
        refused(proof)


def test_a_step_cannot_be_a_leaf() -> None:
    """What stands for a neighbour is hashed under another tag than a leaf: no node passes for one."""
    leaves = TREE.leaves_of(ANA)
    assert leaves is not None
    assert all(isinstance(step, Step) for _, path in leaves for step in path)
    inner = leaves[0][1][-1].node
    forged = {"salt": inner.hash.hex(), "balances": PROOF["leaves"][0]["balances"], "path": []}
    assert (
        refused(PROOF | {"leaves": [forged, PROOF["leaves"][1]]})
        == "the proof does not lead to the root that was signed"
    )
