"""What the bot tells machines (docs/protocol.md section 4; acceptance T14)."""

from nostrbot.core.atm.facts import CassettesPublished, FeesPublished
from nostrbot.core.atm.payloads.cassette_state import Stated, read_statement
from nostrbot.messages.machines import MachineNews, machine_message
from nostrbot.messages.receipts import Sealed, entry_messages
from nostrbot.nostr.sealing import Scheme
from tests.houses import House, letter, person
from tests.machines import statement

M1 = person("m1").pubkey


def test_fees_are_the_platform_s_and_the_operator_s_together() -> None:
    """Section 4, to the letter."""
    fact = FeesPublished("m1", M1, told_at=5, cash_in_ppm=50_000, cash_out_ppm=77_700)
    assert machine_message(fact) == MachineNews(f"bitspire-fees:{M1}", '{"cash_in_ppm":50000,"cash_out_ppm":77700}')


def test_cassettes_have_the_payload_of_a_statement() -> None:
    """Section 4: what is expected, in the form in which a machine states it."""
    house = House.open()
    house.take(statement(at=house.now, _1=(100, 480), _2=(20, 300)))
    house.say("operator", "cassette set m1 2 count=7")
    fact = house.say("operator", "cassette publish m1")
    assert isinstance(fact, CassettesPublished)
    told = machine_message(fact)
    assert told.subject == f"bitspire-cassettes:{M1}"
    assert told.text == '{"positions":{"1":{"denomination":100,"count":480},"2":{"denomination":20,"count":7}}}'
    assert read_statement(told.text) == (Stated("1", 100, 480), Stated("2", 20, 7))


def test_what_is_told_twice_in_a_second_has_two_dates() -> None:
    """Relays keep the newest of an addressable event: of two of one date, one would be lost."""
    house = House.open()
    told = [house.take(letter("operator", f"machine set m1 cash_out={n}%", at=house.now)) for n in (5, 6, 7)]
    assert len(told) == 3
    dates = [fact.told_at for entry in house.entries for fact in entry.facts if isinstance(fact, FeesPublished)]
    assert dates == sorted(set(dates))


def test_what_was_told_anew_is_outdated_in_its_place() -> None:
    """Made again after a crash, the older one is not sent: relays would refuse it for ever. It keeps its place."""
    house = House.open()
    house.add_machine("m2")
    house.say("platform", "platform fee cash_in=2% cash_out=2%")
    entry = house.entries[-1]
    house.say("operator", "machine set m1 cash_out=5%")
    sealed = Sealed(
        house.book.key, entry.seq, entry.at, entry.hash, entry.facts, 4, person("platform").pubkey, Scheme.NIP04
    )
    assert [(message.to, message.outdated) for message in entry_messages(house.book, sealed)] == [
        (person("m1").pubkey, True),
        (person("m2").pubkey, False),
    ]
