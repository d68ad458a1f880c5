"""What the bot tells machines (docs/protocol.md section 4; acceptance T14)."""

from nostrbot.core.atm.statement import Stated, read_statement
from nostrbot.core.facts import CassettesPublished, FeesPublished
from nostrbot.core.machine_messages import Told, machine_message
from tests.houses import House, person
from tests.machines import statement

M1 = person("m1").pubkey


def test_fees_are_the_platform_s_and_the_operator_s_together() -> None:
    """Section 4, to the letter."""
    fact = FeesPublished("m1", M1, cash_in_ppm=50_000, cash_out_ppm=77_700)
    assert machine_message(fact) == Told(f"bitspire-fees:{M1}", '{"cash_in_ppm":50000,"cash_out_ppm":77700}')


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
