"""Machines' words that are no settlements, at the desk: what is kept, what is archived, what is refused.

docs/protocol.md sections 3.2 to 3.4; acceptance T1-T14; faults.md rows 11-14, 16, 26.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nostrbot.core.atm.fleet import MachineStatus
from nostrbot.runtime.machines import ARCHIVED_AT_ONCE
from tests.offices import MACHINE, OPENED_AT, OPERATOR, Office, contents, office, open_office
from tests.signers import Plain, Signer

STATE, TELEMETRY = 30_078, 30_079


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as opened:
        yield opened


def said(
    subject: str, content: object, *, by: Signer = MACHINE, about: Signer | None = None, at: int = OPENED_AT
) -> Plain:
    """An addressable event of a machine, plain."""
    kind = TELEMETRY if subject == "bitspire-telemetry" else STATE
    tags = [["d", f"{subject}:{(about or by).pubkey}"]]
    return by.event(kind, json.dumps(content), tags=tags, at=at)


def sighting(at: Office) -> MachineStatus:
    return at.bookkeeper.sightings[OPERATOR.pubkey, "m1"]


async def test_beacons_and_telemetry_are_kept_apart_from_the_journal(at: Office, tmp_path: Path) -> None:
    """No entry is made of them; what they come to is there after a restart, and each that told something is archived."""
    before = at.head
    first = said("bitspire-beacon", {"model": "Sintra", "cash_in": True})
    heartbeat = said("bitspire-beacon", {"model": "Sintra"}, at=OPENED_AT + 1)
    changed = said("bitspire-beacon", {"cash_level": "low"}, at=OPENED_AT + 2)
    told = said("bitspire-telemetry", {"load": 0.5}, at=OPENED_AT + 3)
    at.now = OPENED_AT + 3
    await at.take(first, heartbeat, changed, told)
    assert at.head == before
    assert sighting(at).beacon.said() == {"cash_in": True, "cash_level": "low", "model": "Sintra"}
    assert sighting(at).told() == {"load": 0.5}
    archived = [json.loads(row[-1]) for row in contents(tmp_path / "bot.sqlite")["archive"]]
    assert [event["id"] for event in archived] == [first["id"], changed["id"], told["id"]]
    assert archived[0] == first

    again = await open_office(tmp_path / "bot.sqlite")
    assert again.bookkeeper.sightings == at.bookkeeper.sightings
    await again.store.close()


async def test_an_older_word_changes_nothing(at: Office) -> None:
    """Faults 11 to 13, whatever the relay sends when."""
    newer = said("bitspire-beacon", {"model": "New"}, at=OPENED_AT - 10)
    await at.take(newer)
    await at.take(said("bitspire-beacon", {"model": "Old", "version": "1"}, at=OPENED_AT - 20), newer)
    assert sighting(at).beacon.said() == {"model": "New"}
    assert at.bookkeeper.refusals["stale"] == 2


async def test_a_clock_ahead_is_noted_and_poisons_nothing(at: Office) -> None:
    """Faults 14 and 16."""
    await at.take(said("bitspire-beacon", {"model": "Future"}, at=OPENED_AT + 3_600))
    assert (sighting(at).beacon.said(), sighting(at).skew_s) == ({}, 3_600)
    await at.take(said("bitspire-beacon", {"model": "Now"}))
    assert sighting(at).beacon.said() == {"model": "Now"}


async def test_a_cassette_statement_is_an_entry(at: Office) -> None:
    """It changes what the book expects; said again, it is stale, after a restart too."""
    statement = said("bitspire-cassettes-state", {"positions": {"1": {"denomination": 100, "count": 480}}})
    turn = await at.take(statement)
    assert [entry.facts[0].name for entry in turn.batch.entries] == ["cassettes_stated"]
    assert at.book.tills["m1"].cassettes["1"].count == 480
    await at.reload()
    assert (await at.take(statement)).batch.entries == []
    assert at.book.tills["m1"].cassettes["1"].count == 480


async def test_only_the_machine_speaks_of_itself(at: Office) -> None:
    """Strangers, other machines and keys rotated out are refused."""
    stranger, new = Signer("stranger"), Signer("m1-new")
    await at.take(said("bitspire-beacon", {"model": "x"}, by=stranger, about=MACHINE))
    await at.take(said("bitspire-beacon", {"model": "x"}, about=stranger))
    await at.say((OPERATOR, f"machine rotate m1 {new.npub}"))
    await at.take(said("bitspire-beacon", {"model": "x"}), said("bitspire-cassettes-state", {"positions": {}}))
    assert (OPERATOR.pubkey, "m1") not in at.bookkeeper.sightings
    assert at.bookkeeper.refusals == {"unknown_author": 1, "attribution_mismatch": 1, "machine_inactive": 2}
    await at.take(said("bitspire-beacon", {"model": "y"}, by=new))
    assert sighting(at).beacon.said() == {"model": "y"}


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"cash_in": "yes"}', '{"positions": {"1": {"denomination": 0, "count": 1}}}']
)
async def test_what_cannot_be_read_is_refused_and_kept_nowhere(at: Office, content: str) -> None:
    """Fault 67, and everything like it."""
    for subject in ("bitspire-beacon", "bitspire-cassettes-state"):
        tags = [["d", f"{subject}:{MACHINE.pubkey}"]]
        turn = await at.take(MACHINE.event(STATE, content, tags=tags, at=OPENED_AT))
        assert (turn.batch.entries, turn.batch.archived) == ([], [])
    assert at.bookkeeper.refusals.total() >= 1
    assert set(at.bookkeeper.refusals) <= {"invalid", "undecryptable"}  # what does not look like JSON might be a cipher


async def test_one_machine_s_changes_do_not_crowd_out_another_s(at: Office, tmp_path: Path) -> None:
    """What is known follows each of them; so many are archived at once, and then one a minute."""
    at.now = OPENED_AT + 100
    await at.take(*[said("bitspire-telemetry", {"load": n}, at=OPENED_AT + n) for n in range(70)])
    assert sighting(at).told() == {"load": 69}
    assert len(contents(tmp_path / "bot.sqlite")["archive"]) == ARCHIVED_AT_ONCE
    at.now += 60
    await at.take(said("bitspire-telemetry", {"load": 70}, at=OPENED_AT + 70))
    assert len(contents(tmp_path / "bot.sqlite")["archive"]) == ARCHIVED_AT_ONCE + 1


async def test_cassette_statements_do_not_fill_the_journal(at: Office) -> None:
    """Each is kept for ever: a rogue key is slowed down, and other machines and people are not."""
    for n in range(130):
        positions = {"1": {"denomination": 100, "count": n}}
        await at.take(said("bitspire-cassettes-state", {"positions": positions}, at=OPENED_AT - 200 + n))
    assert at.book.tills["m1"].cassettes["1"].count == 119
    assert at.bookkeeper.refusals == {"rate_limited": 10}
