"""The auditor and a bot whose key was rotated: one trail, two keys, and whose word counts when (faults.md row 47)."""

import orjson
import pytest

from nostrbot.audit.evidence import read_checkpoint_paper
from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.inputs import Signed
from nostrbot.core.platform.facts import BotRotated
from nostrbot.core.platform.succession import Statement, countersign, make_statement, read_statement
from nostrbot.errors import TrailError
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Scheme
from tests.audit.test_evidence import Watched
from tests.houses import BOT, House, payment_hash, person, sale

NEW = person("new bot")


def succession(house: House) -> Signed:
    """The three signatures, as one input."""
    statement = read_statement(make_statement(BOT, NEW, house.now))
    assert isinstance(statement, Statement)
    event = countersign(person("platform"), statement, house.now)
    return Signed(event, event.content, Scheme.PLAIN)


def sold_to(bot: Keys, house: House, n: int) -> Signed:
    """A sale that m1 reports to a key of the bot's."""
    text = orjson.dumps(sale(payment_hash=payment_hash(n), n=n)).decode()
    event = sign_event(person("m1"), kind=21_000, tags=[["p", bot.pubkey]], content=text, created_at=house.now)
    return Signed(event, text, Scheme.PLAIN)


@pytest.fixture
def rotated() -> Watched:
    """A sale, the rotation, a sale to the new key; a checkpoint by each key in its time."""
    watched = Watched.__new__(Watched)
    house = watched.house = House.open()
    house.add_lp("ana", "9000")
    assert isinstance(house.take(sold_to(BOT, house, 1)), SettlementProcessed)
    watched.early = watched.checkpoint(BOT)
    assert isinstance(house.take(succession(house)), BotRotated)
    assert isinstance(house.take(sold_to(NEW, house, 2)), SettlementProcessed)
    watched.late = watched.checkpoint(NEW)
    return watched


def test_the_trail_goes_on_under_the_new_key(rotated: Watched) -> None:
    """It is of either key; the summary names both."""
    for bot in (None, BOT.pubkey, NEW.pubkey):
        found = verify_trail(rotated.house.trail(), bot=bot)
        assert (found.bot, found.bot_now, found.entries) == (BOT.pubkey, NEW.pubkey, 10)
    with pytest.raises(TrailError, match="another bot"):
        verify_trail(rotated.house.trail(), bot=person("other").pubkey)


def test_each_checkpoint_is_signed_by_the_key_of_its_time(rotated: Watched) -> None:
    """A thief of the old key signs nothing for what came after."""
    early, late = (read_checkpoint_paper(orjson.dumps(one)) for one in (rotated.early, rotated.late))
    assert verify_trail(rotated.house.trail(), checkpoints=[early, late]).checkpoints_checked == 2
    stolen = read_checkpoint_paper(orjson.dumps(rotated.checkpoint(BOT)))
    with pytest.raises(TrailError) as refused:
        verify_trail(rotated.house.trail(), checkpoints=[stolen])
    assert refused.value.field == "checkpoint.bot"


def test_what_is_addressed_to_the_old_key_is_no_entry_any_more(rotated: Watched) -> None:
    """A bot with a stolen old key could otherwise go on with it."""
    house = rotated.house
    house.book.bot = BOT.pubkey  # as if its rules were others
    house.take(sold_to(BOT, house, 3))
    with pytest.raises(TrailError) as refused:
        verify_trail(house.trail())
    assert (refused.value.seq, refused.value.field) == (11, "facts")
