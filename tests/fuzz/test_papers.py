"""What strangers hold up as proof, spoilt: checkpoints, proofs, receipts, successions (faults.md rows 47, 87, 88).

Each is refused by a value or by its own error. What is believed says what its signers said.
"""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.audit.equivocation import CheckpointLog
from nostrbot.audit.evidence import EvidenceError, Receipt, read_checkpoint_paper, read_receipt_paper
from nostrbot.audit.proof import Proven, check_proof
from nostrbot.core.platform.succession import Succession, countersign, make_statement, read_statement, read_succession
from nostrbot.core.proofs.checkpoint import Checkpoint, read_checkpoint, subject_of
from nostrbot.errors import ConfigError
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import APP_DATA
from nostrbot.refusals import Refusal
from tests.audit.test_proof import CHECKPOINT, EVENT, HOUSE, PROOF
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import spoilt_bytes, spoilt_json
from tests.fuzz.test_files import outcome_of
from tests.houses import BOT, person

ANA, PLATFORM, NEW = person("ana"), person("platform"), person("new bot")
AT = HOUSE.now
RECEIPT = {
    "receipt": "l1",
    "status": "completed",
    "settlement": "s1",
    "event_id": "ab" * 32,
    "operator": "antigua",
    "machine": "m1",
    "sats": 90_000,
    "fiat": "1800.00",
    "currency": "GTQ",
    "rate": "50",
    "balance_before": "9000.00",
    "balance_after": "7200.00",
    "entry": 9,
    "entry_hash": "cd" * 32,
    "corrects": [],
    "tag": "aio-dca",
}


def bytes_of(value: Any) -> st.SearchStrategy[bytes]:
    """A file of this JSON, spoilt as a value, as text, or in its bytes."""
    return spoilt_json(value).map(str.encode) | spoilt_bytes(orjson.dumps(value))


@effort(250)
@given(proof=bytes_of(PROOF) | bytes_of({"ok": True, "data": {"proof": PROOF}}))
def test_a_proof(proof: bytes) -> None:
    """A proof that is believed proves what the true one proves (row 87); nothing raises."""
    found = check_proof(proof, CHECKPOINT)
    if isinstance(found, Proven):
        assert (found.lp, found.balances) == (ANA.pubkey, {"GTQ": 720_000, "sat": 90_000})
    else:
        assert isinstance(found, Refusal)
        assert found.detail


@effort(150)
@given(checkpoint=bytes_of(EVENT.plain()))
def test_a_checkpoint_file(checkpoint: bytes) -> None:
    """The checkpoint beside a true proof: the one that was signed, or none."""
    found = check_proof(orjson.dumps(PROOF), checkpoint)
    assert isinstance(found, Proven | Refusal)
    paper = outcome_of(lambda: read_checkpoint_paper(checkpoint), EvidenceError)
    assert isinstance(paper, EvidenceError) or paper == read_checkpoint(EVENT)


def checkpoints_in(chronicle: CheckpointLog) -> list[Checkpoint]:
    """What somebody who follows a bot knows."""
    return [known.checkpoint for known in chronicle.known()]


@effort(250)
@given(content=spoilt_json(orjson.loads(EVENT.content)))
def test_a_checkpoint_that_a_bot_signed(content: str) -> None:
    """A lying bot signs anything: it is read only where there is one way to write it; then whoever follows it takes it in."""
    event = sign_event(BOT, kind=APP_DATA, tags=[["d", subject_of(HOUSE.book.key)]], content=content, created_at=AT)
    read = read_checkpoint(event)
    assert isinstance(read, Checkpoint | Refusal)
    following = CheckpointLog(BOT.pubkey)
    following.note(EVENT)
    following.note(event)
    again = CheckpointLog(BOT.pubkey)
    again.restore(following.state())
    assert checkpoints_in(again) == checkpoints_in(following)


@effort(100)
@given(data=st.data())
def test_the_state_of_whoever_follows(data: st.DataObject) -> None:
    """A damaged one is refused; what is taken from it was signed."""
    following = CheckpointLog(BOT.pubkey)
    following.note(EVENT)
    state = data.draw(bytes_of(orjson.loads(following.state())))
    again = CheckpointLog(BOT.pubkey)
    outcome = outcome_of(lambda: again.restore(state), ConfigError)
    assert outcome is None or isinstance(outcome, ConfigError)
    assert checkpoints_in(again) in ([], [read_checkpoint(EVENT)])


@effort(250)
@given(raw=bytes_of(RECEIPT) | bytes_of({"ok": True, "data": RECEIPT}))
def test_a_receipt(raw: bytes) -> None:
    """It names an entry and a leg, or it is none."""
    read = outcome_of(lambda: read_receipt_paper(raw), EvidenceError)
    if isinstance(read, Receipt):
        assert type(read.entry) is type(read.leg) is int
        assert read.entry >= 1


STATEMENT = make_statement(BOT, NEW, AT)
MADE = read_statement(STATEMENT)
assert not isinstance(MADE, Refusal)
SUCCESSION = countersign(PLATFORM, MADE, AT)
ACCEPTED_ID = orjson.loads(STATEMENT.content)["id"]  # of what the new key signed


def signed_again(event: VerifiedEvent, content: str, keys: Keys) -> VerifiedEvent:
    """An event of the same tags with another content, signed by somebody."""
    return sign_event(keys, kind=event.kind, tags=event.tags, content=content, created_at=event.created_at)


@effort(250)
@given(data=st.data(), by=st.sampled_from([BOT, NEW, PLATFORM, ANA]))
def test_a_succession(data: st.DataObject, by: Keys) -> None:
    """A layer spoilt and signed by one of those who matter, or by somebody: it is believed only if all three said so."""
    event = data.draw(st.sampled_from([SUCCESSION, STATEMENT]))
    inner = data.draw(spoilt_json(orjson.loads(event.content)))
    spoilt_event = signed_again(event, inner, by)
    if event is STATEMENT:
        assert isinstance(read_statement(spoilt_event), Refusal) or orjson.loads(inner)["id"] == ACCEPTED_ID
        spoilt_event = signed_again(SUCCESSION, orjson.dumps(spoilt_event.plain()).decode(), PLATFORM)
    read = read_succession(spoilt_event, PLATFORM.pubkey)
    if isinstance(read, Succession):
        assert (read.old, read.new) == (BOT.pubkey, NEW.pubkey)
        assert (read.statement.pubkey, read.event.pubkey) == (BOT.pubkey, PLATFORM.pubkey)
    else:
        assert isinstance(read, Refusal)
