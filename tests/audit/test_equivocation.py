"""A chronicle: what two checkpoints of a bot prove against it, in whatever order they are seen, and over two runs."""

import itertools
import json
from collections.abc import Sequence

import pytest

from nostrbot.audit import equivocation as chronicle_module
from nostrbot.audit.equivocation import CheckpointLog, CheckpointSeen, Wrong
from nostrbot.core.platform.succession import Statement, Succession, countersign, make_statement, read_statement
from nostrbot.core.proofs.checkpoint import subject_of
from nostrbot.errors import ConfigError
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.keys import Keys
from tests.houses import BOT, person

ANTIGUA, FLORES = person("antigua").pubkey, person("flores").pubkey
PLATFORM, HEIR, STRANGER = person("platform"), person("heir"), person("stranger")


def checkpoint(
    seq: int,
    head: str,
    prev: VerifiedEvent | None = None,
    *,
    sats: int = 0,
    book: str = ANTIGUA,
    by: Keys = BOT,
    root: str = "ab" * 32,
) -> VerifiedEvent:
    """A checkpoint that a bot signed, honest or not; `head` is a word."""
    content = {
        "v": 1,
        "seq": seq,
        "head": head.encode().hex().rjust(64, "0"),
        "liabilities_root": root,
        "liabilities": {"sat": sats},
        "prev": None if prev is None else prev.id,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return sign_event(by, kind=78, tags=[["d", subject_of(book)]], content=text, created_at=1_790_000_000 + seq)


def found(events: Sequence[VerifiedEvent]) -> list[tuple[str, frozenset[str]]]:
    """What is proven by events seen in this order: what is wrong, and by which two."""
    chronicle = CheckpointLog(BOT.pubkey)
    for event in events:
        chronicle.note(event)
    return [(one.wrong, frozenset(event.id for event in one.events)) for one in chronicle.evidence]


FIRST = checkpoint(5, "five")
SECOND = checkpoint(9, "nine", FIRST, sats=70)
THIRD = checkpoint(9, "nine", SECOND, sats=70)  # a day on which nothing changed
FOURTH = checkpoint(12, "twelve", THIRD)


def test_an_honest_chain_proves_nothing() -> None:
    """In any order, with days on which nothing changed, beside another operator's chain of the same numbers."""
    other = checkpoint(5, "other", book=FLORES)
    for order in itertools.permutations([FIRST, SECOND, THIRD, FOURTH, other]):
        assert found(order) == []


@pytest.mark.parametrize(
    ("wrong", "lie", "truth"),
    [
        (Wrong.TWO_HEADS, checkpoint(9, "NINE", FIRST, sats=70), SECOND),
        (Wrong.TWO_HEADS, checkpoint(5, "FIVE"), FIRST),
        (Wrong.TWO_DEBTS, checkpoint(9, "nine", FIRST, sats=60), SECOND),
        (Wrong.FORK, checkpoint(8, "eight", FIRST), SECOND),
        (Wrong.FORK, checkpoint(3, "three"), FIRST),
        (Wrong.BACKWARDS, checkpoint(4, "four", FOURTH), FOURTH),
    ],
)
def test_a_lie_is_found_in_whatever_order_it_is_seen(wrong: Wrong, lie: VerifiedEvent, truth: VerifiedEvent) -> None:
    """Each is proven by two events that the bot signed, whichever of them was seen first."""
    for order in itertools.permutations([FIRST, SECOND, FOURTH, lie]):
        proven = found(order)
        assert proven
        assert (wrong, frozenset({lie.id, truth.id})) in proven


def test_evidence_names_the_entry_and_holds_both_events() -> None:
    """It stands alone: anybody can check the two signatures."""
    chronicle = CheckpointLog(BOT.pubkey)
    chronicle.note(SECOND)
    seen = chronicle.note(checkpoint(9, "NINE", FIRST))
    assert isinstance(seen, CheckpointSeen)
    (evidence,) = seen.evidence
    assert evidence.sentence == "two checkpoints name different heads for entry 9: the history was rewritten"
    assert {event.pubkey for event in evidence.events} == {BOT.pubkey}
    assert len({event.id for event in evidence.events}) == 2


def test_what_is_not_the_bots_says_nothing() -> None:
    """Another signer's checkpoint, another kind, another subject, another operator, and what was seen."""
    chronicle = CheckpointLog(BOT.pubkey, operator=ANTIGUA)
    assert chronicle.note(checkpoint(5, "FIVE", by=STRANGER)) is None
    assert chronicle.note(checkpoint(5, "five", book=FLORES)) is None
    assert chronicle.note(sign_event(BOT, kind=78, tags=[["d", "notes"]], content="{}", created_at=1)) is None
    assert (
        chronicle.note(sign_event(BOT, kind=78, tags=[["d", subject_of(ANTIGUA)]], content="?", created_at=1)) is None
    )
    assert isinstance(chronicle.note(FIRST), CheckpointSeen)
    assert chronicle.note(FIRST) is None
    assert [known.event for known in chronicle.known()] == [FIRST]


def test_what_nobody_has_shown_is_missing() -> None:
    """A chain with a hole is no lie, but it is told."""
    chronicle = CheckpointLog(BOT.pubkey)
    for event in (FIRST, FOURTH):
        chronicle.note(event)
    assert chronicle.missing() == 1
    for event in (SECOND, THIRD):
        chronicle.note(event)
    assert chronicle.missing() == 0


# --- between two runs ----------------------------------------------------------------------------------------------


def test_a_lie_is_found_over_two_runs() -> None:
    """What the first run saw and no relay has any more; and what was proven once stays proven."""
    first = CheckpointLog(BOT.pubkey)
    first.note(SECOND)
    second = CheckpointLog(BOT.pubkey)
    second.restore(first.state())
    assert second.evidence == []
    second.note(checkpoint(9, "NINE", FIRST))
    assert [one.wrong for one in second.evidence] == [Wrong.TWO_HEADS]
    third = CheckpointLog(BOT.pubkey)
    third.restore(second.state())
    assert third.evidence == second.evidence


@pytest.mark.parametrize(
    "state",
    [
        b"", b"[]", b"{}", b'{"chronicle":2}', b'{"chronicle":1,"bot":"x"}',
        json.dumps({"chronicle": 1, "bot": BOT.pubkey, "events": [FIRST.plain() | {"content": ""}]}).encode(),
    ],
)  # fmt: skip
def test_a_state_that_is_none_is_said_so(state: bytes) -> None:
    """Nothing is followed from what somebody else wrote there."""
    with pytest.raises(ConfigError, match="not what this command wrote"):
        CheckpointLog(BOT.pubkey).restore(state)


def test_each_bot_has_a_state_of_its_own() -> None:
    """Otherwise one bot's history would be forgotten for another's."""
    with pytest.raises(ConfigError, match="belongs to another bot"):
        CheckpointLog(STRANGER.pubkey).restore(CheckpointLog(BOT.pubkey).state())


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The earliest entries are forgotten first, in whatever order they came; books beyond the limit are not begun."""
    monkeypatch.setattr(chronicle_module, "CHECKPOINTS_MAX", 6)
    monkeypatch.setattr(chronicle_module, "FORGOTTEN_AT_ONCE", 3)
    monkeypatch.setattr(chronicle_module, "BOOKS_MAX", 1)
    chain = [FIRST]
    for seq in range(10, 30):
        chain.append(checkpoint(seq, f"head {seq}", chain[-1]))
    for order in (chain, list(reversed(chain))):
        chronicle = CheckpointLog(BOT.pubkey)
        for event in order:
            chronicle.note(event)
            assert len(list(chronicle.known())) < 9
        assert chronicle.evidence == []
        assert chronicle.note(checkpoint(1, "one", book=FLORES)) is None
    newest = max(known.checkpoint.standpoint.seq for known in chronicle.known())
    assert newest == 29


# --- a new key -----------------------------------------------------------------------------------------------------


def handed_on(by: Keys, old: Keys = BOT, new: Keys = HEIR) -> VerifiedEvent:
    """The succession of a bot's key, countersigned by somebody."""
    statement = read_statement(make_statement(old, new, 1_790_000_100))
    assert isinstance(statement, Statement)
    return countersign(by, statement, 1_790_000_200)


def test_a_new_key_is_gone_on_with_if_the_platform_says_so() -> None:
    """Its checkpoints follow the old key's in one chain, and a lie across the two is a lie."""
    chronicle = CheckpointLog(BOT.pubkey, platform=PLATFORM.pubkey)
    chronicle.note(FIRST)
    later = checkpoint(9, "nine", FIRST, by=HEIR)
    assert chronicle.note(later) is None
    assert isinstance(chronicle.note(handed_on(PLATFORM)), Succession)
    assert chronicle.note(handed_on(PLATFORM)) is None
    assert isinstance(chronicle.note(later), CheckpointSeen)
    assert chronicle.evidence == []
    again = CheckpointLog(BOT.pubkey, platform=PLATFORM.pubkey)
    again.restore(chronicle.state())
    assert again.bots == [BOT.pubkey, HEIR.pubkey]
    again.note(checkpoint(9, "NINE", FIRST, by=HEIR))
    assert [one.wrong for one in again.evidence] == [Wrong.TWO_HEADS]


def test_nobody_else_names_a_new_key() -> None:
    """Countersigned by a stranger, belongs to another bot, or asked by somebody who named no platform."""
    for platform, event in (
        (PLATFORM, handed_on(STRANGER)),
        (PLATFORM, handed_on(PLATFORM, old=STRANGER)),
        (None, handed_on(PLATFORM)),
    ):
        chronicle = CheckpointLog(BOT.pubkey, platform=None if platform is None else platform.pubkey)
        assert chronicle.note(event) is None
        assert chronicle.bots == [BOT.pubkey]


def test_a_run_that_looks_at_less_forgets_nothing() -> None:
    """One operator's, or without the platform: what an earlier run saw stays in the state for the next."""
    first = CheckpointLog(BOT.pubkey, platform=PLATFORM.pubkey)
    heirs = checkpoint(15, "heir", FOURTH, by=HEIR)
    for event in (FIRST, checkpoint(5, "other", book=FLORES), handed_on(PLATFORM), heirs):
        first.note(event)
    narrow = CheckpointLog(BOT.pubkey, operator=ANTIGUA)
    narrow.restore(first.state())
    assert [known.event for known in narrow.known()] == [FIRST]
    again = CheckpointLog(BOT.pubkey, platform=PLATFORM.pubkey)
    again.restore(narrow.state())
    assert again.bots == [BOT.pubkey, HEIR.pubkey]
    assert {known.event.id for known in again.known()} == {known.event.id for known in first.known()}


def test_one_entry_has_one_tree() -> None:
    """The same total split in two ways would show each LP the one that it is in. Another key's root is another."""
    other_tree = checkpoint(9, "nine", SECOND, sats=70, root="cd" * 32)
    for order in itertools.permutations([FIRST, SECOND, other_tree]):
        assert found(order) == [(Wrong.TWO_DEBTS, frozenset({SECOND.id, other_tree.id}))]
    chronicle = CheckpointLog(BOT.pubkey, platform=PLATFORM.pubkey)
    heirs = checkpoint(9, "nine", SECOND, sats=70, root="cd" * 32, by=HEIR)
    for event in (SECOND, handed_on(PLATFORM), heirs):
        chronicle.note(event)
    assert chronicle.evidence == []
