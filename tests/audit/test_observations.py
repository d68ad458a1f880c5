"""The auditor and observations: decided again from what was seen, and counted by what they rest on."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from nostrbot.audit.summary import OTHER_SOURCES, SOURCE_CHARS_MAX, SOURCES_NAMED, Observations, Summary
from nostrbot.audit.verdicts import TrailCase, judge_trail
from nostrbot.audit.verification import verify_trail
from nostrbot.core.inputs import Observed
from tests.audit.test_verification import Content, Trail, resealed, trouble
from tests.houses import House
from tests.payouts import house_that_owes, house_with_every_fact, payouts_open, sending, told, withdraw

pytestmark = pytest.mark.usefixtures("any_page")


@pytest.fixture(autouse=True)
def _open() -> Iterator[None]:
    with payouts_open():
        yield


def lived() -> House:
    """One payout, settled with proof."""
    house = house_that_owes()
    payout = sending(house, withdraw(house))
    told(house, payout, "settled")
    return house


def test_all_that_becomes_of_payouts_verifies() -> None:
    """Entries are signed, ticks, or observations; a preimage proves, all else is the bot's word."""
    house = house_with_every_fact()
    summary = verify_trail(house.trail())
    observed = [entry.given for entry in house.entries if isinstance(entry.given, Observed)]
    proven = [one for one in observed if one.seen.get("outcome") == "settled"]
    assert summary.head == house.chain.head
    assert summary.observations == {"lnbits": Observations(len(observed), len(proven), len(observed) - len(proven))}
    assert len(proven) == 2
    assert summary.entries == summary.signed + summary.ticks + len(observed)


def test_the_wire_form_is_the_contract_s() -> None:
    """docs/protocol.md section 7: source, identity, key, at, saw, and what was seen beside them."""
    seen = orjson.loads(lived().entries[-1].body)["input"]["observed"]
    assert seen.keys() == {
        *("source", "identity", "key", "at", "saw"),
        *("payout", "attempt", "attempt_id", "outcome", "n", "asked_sats", "amount_msat", "fee_msat", "preimage"),
        *("is_confirmed", "why"),
    }
    assert (seen["key"], seen["saw"]) == ("p1.1:settled:1", "payment_outcome")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preimage", "00" * 32),
        ("amount_msat", 1),
        ("fee_msat", 10_000),
        ("outcome", "failed"),
        ("asked_sats", 1),
        ("key", "p1.1:settled:2"),
        ("saw", "nothing"),
    ],
)
def test_what_was_seen_cannot_be_changed(field: str, value: object) -> None:
    """Sealed again, it does not come to the same facts."""
    house = lived()

    def change(content: Content) -> None:
        content["input"]["observed"][field] = value

    trail: Trail = house.trail()
    seq, where = trouble(resealed(trail, len(house.entries), change))
    assert (seq, where.partition("[")[0]) == (len(house.entries), "facts")


def test_the_same_observation_cannot_be_entered_twice() -> None:
    """Not even under a trail that was sealed again."""
    house = lived()
    house.take(house.entries[-1].given)
    assert len(house.entries) == len(lived().entries)
    house.book.recall.events.clear()
    house.book.payouts = lived().book.payouts
    assert house.take(house.entries[-1].given) is None  # settled is settled, also for a bot that forgot


def test_what_the_bot_saw_is_said_in_words(tmp_path: Path) -> None:
    """Whoever reads no JSON hears, too, that payments rest on the bot's word."""
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"\n".join(lived().trail()))
    words = judge_trail(TrailCase(path), json=False).text
    assert "Seen by the bot through lnbits: 2, of which 1 prove themselves, 1 rest on the bot's word." in words


def test_a_trail_that_names_connection_after_connection_fills_no_memory() -> None:
    """All beyond the first are counted together; the sums still hold."""
    summary = Summary("", "", "")
    for number in range(SOURCES_NAMED + 50):
        summary.count_observation(f"{number:09}" * 1_000, is_proven=number % 2 == 0)
    assert len(summary.observations) == SOURCES_NAMED + 1
    assert max(map(len, summary.observations)) == SOURCE_CHARS_MAX
    assert summary.observations[OTHER_SOURCES] == Observations(50, 25, 25)
