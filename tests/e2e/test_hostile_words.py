"""Garbage of every sort, well signed and well encrypted, by everyone whom the bot knows; then a true sale goes through.

What lives here: spoilt words on a real relay, to a running bot. What does not: what a relay itself may do
(test_hostile_relay.py), and the same garbage at each door of the program, far more of it (tests/fuzz/).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.house import House, running_house
from tests.e2e.people import STATE_KIND, TELEMETRY_KIND, WRAP_KIND, Line, Plain
from tests.e2e.sales import sale
from tests.e2e.side_loop import side_loop
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import spoilt_bytes, spoilt_json, spoilt_text
from tests.peers.local_relay import local_relay

TEXT_CHARS_MAX = 30_000  # more does not fit in a frame, once it is encrypted
SCHEMES = st.sampled_from(["nip04", "nip44"])
COMMANDS = st.sampled_from(
    [
        'deposit add ana 5 machine=m1 note="in cash"',
        "settlement list limit=3",
        "splits set a=60%:self b=40%:ana",
        "help",
    ]
)
STATES = {
    "bitspire-beacon": (STATE_KIND, {"cash_in": True, "fees": {"cash_in": 6}, "name": "Parque Central"}),
    "bitspire-telemetry": (TELEMETRY_KIND, {"temperature": 41, "errors": ["paper", None]}),
    "bitspire-cassettes-state": (STATE_KIND, {"positions": {"1": {"denomination": 100, "count": 480}}}),
}


@dataclass
class Street:
    """A bot, and those whom it knows."""

    house: House
    operator: Line
    ana: Line
    m1: Line

    def assert_a_true_sale_goes_through(self) -> None:
        assert self.m1.settle(sale(self.m1.person))["status"] == "processed"
        assert self.operator.data("whoami")

    def seal(self, line: Line, text: str, scheme: str) -> str | None:
        """What a person's library makes of a text; None where it refuses to."""
        return line.person.seal(self.house.pubkey, text, scheme) if 0 < len(text.encode()) <= TEXT_CHARS_MAX else None

    def publish(self, line: Line, kind: int, content: str | None, *tags: list[str]) -> None:
        if content is not None:
            line.offer(line.person.sign(kind, content, [["p", self.house.pubkey], *tags]))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with (
        side_loop() as loop,
        loop.holding(local_relay()) as url,
        running_house(tmp_path_factory.mktemp("street"), url) as house,
    ):
        operator = house.open_operator("antigua", "m1")
        ana = house.seat_lp(operator, "ana", "m1", "100000")
        yield Street(house, operator, ana, house.line("m1"))
        house.assert_trail_verifies(operator.person)


@effort(12)
@given(data=st.data(), scheme=st.sampled_from(["plain", "nip04", "nip44"]))
def test_garbage_inside_encryption(street: Street, data: st.DataObject, scheme: str) -> None:
    """Fault 28: a machine that says anything at all of itself and of its sales hears `invalid`, or nothing; the next true
    sale is processed."""
    said = street.seal(street.m1, data.draw(spoilt_json(sale(street.m1.person, payment_hash="cd" * 32))), scheme)
    street.publish(street.m1, 21_000, said)
    for subject, (kind, content) in STATES.items():
        sealed = street.seal(street.m1, data.draw(spoilt_json(content)), data.draw(SCHEMES))
        street.publish(street.m1, kind, sealed, ["d", f"{subject}:{street.m1.person.pubkey}"])
    street.assert_a_true_sale_goes_through()


@effort(12)
@given(text=COMMANDS.flatmap(spoilt_text), scheme=SCHEMES)
def test_garbage_as_a_command(street: Street, text: str, scheme: str) -> None:
    """Fault 45: every command of somebody known is answered, whatever it says."""
    for line in (street.operator, street.ana):
        if street.seal(line, text, scheme) is not None:
            assert line.say(line.person.command(street.house.pubkey, text, scheme=scheme)).text
    street.assert_a_true_sale_goes_through()


@effort(12)
@given(data=st.data(), kind=st.sampled_from([4, 13, 21_000, STATE_KIND, TELEMETRY_KIND, WRAP_KIND]))
def test_garbage_instead_of_encryption(street: Street, data: st.DataObject, kind: int) -> None:
    """Fault 43: contents that no cipher made, in every kind that is taken, and seals without a wrap."""
    line = data.draw(st.sampled_from([street.operator, street.ana, street.m1]))
    content = street.seal(line, "whoami", data.draw(SCHEMES))
    assert content is not None
    street.publish(line, kind, data.draw(spoilt_bytes(content.encode())).decode("latin-1"))
    street.assert_a_true_sale_goes_through()


@effort(8)
@given(data=st.data())
def test_garbage_in_a_gift_wrap(street: Street, data: st.DataObject) -> None:
    """Layers that were wrapped well and hold anything at all."""
    wrap, _ = street.ana.person.whisper(street.house.pubkey, "whoami")
    inner: Plain = street.ana.person.command(street.house.pubkey, "whoami")
    sealed = street.seal(street.m1, data.draw(spoilt_json(data.draw(st.sampled_from([wrap, inner])))), "nip44")
    street.publish(street.m1, WRAP_KIND, sealed)
    assert json.loads(street.ana.whisper("whoami --json").text)["ok"] is True
    street.assert_a_true_sale_goes_through()
