"""The registry: machines and LPs of one operator (acceptance M1-M11, L1-L13)."""

import pytest

from nostrbot.core.atm import registry
from nostrbot.core.atm.facts import LpEnrolled, LpSwitched, MachineAdded, MachineChanged, PreferencesSet
from nostrbot.core.atm.records import Enrolment, Guard, Machine, Preferences
from nostrbot.core.atm.states import Mode, Trust
from nostrbot.core.commands.refused import Code, CommandRefused
from tests.houses import House, Outcome, of_legs, person


@pytest.fixture
def house() -> House:
    return House.open()


# --- machines -------------------------------------------------------------------------------------------------------


def test_a_machine_is_active_once_enrolled(house: House) -> None:
    """M1, M2, M9, M11: key, name, fiat, a fee by direction; times are the bot's."""
    added = house.say(
        "operator",
        'machine add @m2 name=m2 fiat=usd cash_in=5% cash_out=7.77% location="Parque Central" trust=preimage',
    )
    assert isinstance(added, MachineAdded)
    assert added.machine == Machine(
        handle="m2",
        pubkey=person("m2").pubkey,
        fiat="USD",
        cash_in_ppm=50_000,
        cash_out_ppm=77_700,
        location="Parque Central",
        trust=Trust.PREIMAGE,
        enforce_fee_match=False,
        guard=Guard(),
        active=True,
        created_at=house.now,
        updated_at=house.now,
    )


def test_a_key_may_be_given_in_hex_of_either_case(house: House) -> None:
    """M7: npub or hex, the same machine."""
    added = house.say("operator", f"machine add {person('m2').pubkey.upper()} name=m2 fiat=GTQ cash_in=0 cash_out=0")
    assert isinstance(added, MachineAdded)
    assert house.book.machine_of_key[person("m2").pubkey] == "m2"


def test_a_name_or_a_key_is_a_machine_s_once(house: House) -> None:
    """One name, one key, one machine."""
    assert code(house.say("operator", "machine add @m2 name=m1 fiat=GTQ cash_in=0 cash_out=0")) is Code.NAME_TAKEN
    assert code(house.say("operator", "machine add @m1 name=m2 fiat=GTQ cash_in=0 cash_out=0")) is Code.KEY_TAKEN


def test_set_changes_what_is_named_only(house: House) -> None:
    """C5: a field that is not named stays."""
    before = house.book.machines["m1"]
    changed = house.say("operator", "machine set m1 cash_out=6.5% location=Mercado")
    assert isinstance(changed, MachineChanged)
    assert (changed.machine.cash_out_ppm, changed.machine.location) == (65_000, "Mercado")
    assert (changed.machine.cash_in_ppm, changed.machine.trust) == (before.cash_in_ppm, before.trust)
    assert (changed.machine.created_at, changed.machine.updated_at) == (before.created_at, house.now)


@pytest.mark.parametrize("asked", ["machine set m1", "machine set m1 cash_out=6.27%", "machine resume m1"])
def test_asking_for_what_is_changes_nothing(house: House, asked: str) -> None:
    """C5: an empty update writes nothing, not even a time."""
    entries = len(house.entries)
    assert house.say("operator", asked) is None
    assert len(house.entries) == entries


def test_a_machine_is_suspended_and_resumed(house: House) -> None:
    """M8: never deleted."""
    suspended = house.say("operator", "machine suspend m1")
    assert isinstance(suspended, MachineChanged)
    assert not suspended.machine.active
    resumed = house.say("operator", "machine resume m1")
    assert isinstance(resumed, MachineChanged)
    assert resumed.machine.active


@pytest.mark.parametrize("asked", ["machine set m9 cash_out=1%", "machine suspend m9", "machine resume m9"])
def test_a_machine_that_is_not_there_is_not_found(house: House, asked: str) -> None:
    """And another operator's is not there, because a book knows only its own (faults.md rows 35, 89)."""
    refused = house.say("operator", asked)
    assert refused == CommandRefused(Code.NOT_FOUND, "there is no machine m9: `machine list` shows yours")


# --- LPs ------------------------------------------------------------------------------------------------------------


def test_an_lp_is_enrolled_before_it_joins(house: House) -> None:
    """L1, L2: active at that machine, not yet onboarded."""
    enrolled = house.say("operator", "lp add @ana machine=m1 name=ana")
    assert enrolled == LpEnrolled("ana", person("ana").pubkey, Enrolment("m1", True, house.now, house.now))
    assert house.book.lps["ana"].preferences is None


def test_an_lp_keeps_its_name_at_another_machine(house: House) -> None:
    """Adding the same LP elsewhere keeps the handle, whatever name is said this time."""
    house.add_machine("m2")
    house.add_lp("ana")
    enrolled = house.say("operator", "lp add @ana machine=m2 name=anna")
    assert isinstance(enrolled, LpEnrolled)
    assert enrolled.lp == "ana"
    assert list(house.book.lps["ana"].seats) == ["m1", "m2"]
    assert house.book.lps["ana"].preferences is not None


def test_enrolment_is_once_per_machine_and_names_are_unique(house: House) -> None:
    """L1: one row per (machine, LP)."""
    house.add_lp("ana")
    assert code(house.say("operator", "lp add @ana machine=m1 name=ana2")) is Code.ALREADY_ENROLLED
    assert code(house.say("operator", "lp add @ben machine=m1 name=ana")) is Code.NAME_TAKEN
    assert code(house.say("operator", "lp add @ben machine=m9 name=ben")) is Code.NOT_FOUND


def test_join_is_flow_unless_said_otherwise(house: House) -> None:
    """L7: the default mode."""
    house.say("operator", "lp add @ana machine=m1 name=ana")
    assert house.say("ana", "join") == PreferencesSet("ana", Preferences(house.now, Mode.FLOW, None))


def test_join_again_changes_nothing_and_join_with_a_mode_changes_it(house: House) -> None:
    """L8: the day of joining stays, only what is said changes."""
    house.add_lp("ana")
    joined_at = house.now
    assert house.say("ana", "join") is None
    assert house.say("ana", "join mode=fixed") == PreferencesSet("ana", Preferences(joined_at, Mode.FIXED, None))


def test_a_mode_is_chosen_after_joining(house: House) -> None:
    """L13, and L5: saying how is not saying yes."""
    house.say("operator", "lp add @ana machine=m1 name=ana")
    assert code(house.say("ana", "mode fixed limit=500")) is Code.LP_NOT_ONBOARDED
    house.say("ana", "join")
    joined_at = house.now
    assert house.say("ana", "mode fixed limit=500") == PreferencesSet("ana", Preferences(joined_at, Mode.FIXED, "500"))
    assert house.say("ana", "join") is None
    assert house.say("ana", "mode flow") == PreferencesSet("ana", Preferences(joined_at, Mode.FLOW, None))


def test_an_lp_that_paused_takes_no_part_until_it_resumes(house: House) -> None:
    """Its own switch, beside the operator's; what else it chose stays."""
    house.add_lp("ana", "9000")
    house.say("ana", "forward ana@wallet.example.com")
    house.say("ana", "pause")
    assert "no_lp_with_a_balance" in of_legs(house.sell(), "dca")[0]
    assert house.say("ana", "pause") is None
    house.say("ana", "resume")
    chosen = house.book.lps["ana"].preferences
    assert chosen is not None
    assert (chosen.mode, chosen.paused, chosen.forward) == (Mode.FLOW, False, "ana@wallet.example.com")
    assert "ana" in of_legs(house.sell(), "dca")[0]


@pytest.mark.parametrize(
    "address", ["ana", "ana@", "@wallet.example.com", "ana@localhost", "a na@example.com", "ana@-x.com"]
)
def test_an_address_to_forward_to_is_a_lightning_address(house: House, address: str) -> None:
    """LUD-16: name and domain. Nothing else is kept."""
    house.add_lp("ana")
    assert code(house.say("ana", f'forward "{address}"')) is Code.BAD_ARGUMENT
    assert house.say("ana", "forward off") is None


def test_an_lp_is_suspended_at_one_machine_or_at_all(house: House) -> None:
    """The operator's switch; the cash stays the LP's."""
    house.add_machine("m2")
    house.add_lp("ana", "10")
    house.say("operator", "lp add @ana machine=m2 name=ana")
    one = house.say("operator", "lp suspend ana machine=m2")
    assert isinstance(one, LpSwitched)
    assert [(seat.machine, seat.active) for seat in one.enrolments] == [("m2", False)]
    rest = house.say("operator", "lp suspend ana")
    assert isinstance(rest, LpSwitched)
    assert [(seat.machine, seat.active) for seat in rest.enrolments] == [("m1", False)]
    assert house.say("operator", "lp suspend ana") is None
    back = house.say("operator", "lp resume ana")
    assert isinstance(back, LpSwitched)
    assert [(seat.machine, seat.active) for seat in back.enrolments] == [("m1", True), ("m2", True)]
    assert house.remaining("ana") == "10.00"


def test_an_lp_that_is_not_there_is_not_found(house: House) -> None:
    """Nor is an LP found at a machine where it is not enrolled."""
    house.add_machine("m2")
    house.add_lp("ana")
    assert code(house.say("operator", "lp suspend ben")) is Code.NOT_FOUND
    assert code(house.say("operator", "lp suspend ana machine=m2")) is Code.NOT_FOUND
    assert code(house.say("operator", "lp suspend ana machine=m9")) is Code.NOT_FOUND


def test_one_key_may_hold_several_roles(house: House) -> None:
    """docs/protocol.md section 1: the operator can be its own LP."""
    house.say("operator", "lp add @operator machine=m1 name=me")
    assert isinstance(house.say("operator", "join"), PreferencesSet)


def test_a20_a_sale_is_shared_among_so_many_and_a_book_has_so_much_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sale is one entry and as many messages as there are LPs at the machine."""
    for name, most in (("LPS_AT_MACHINE_MAX", 2), ("SEATS_MAX", 3), ("MACHINES_MAX", 2)):
        monkeypatch.setattr(registry, name, most)
    house = House.open()
    house.add_machine("m2")
    assert code(house.say("operator", "machine add @m3 name=m3 fiat=GTQ cash_in=0 cash_out=0")) is Code.TOO_MANY
    house.add_lp("ana")
    house.add_lp("ben")
    assert code(house.say("operator", "lp add @eva machine=m1 name=eva")) is Code.TOO_MANY
    house.add_lp("eva", machine="m2")
    assert code(house.say("operator", "lp add @ana machine=m2 name=ana")) is Code.TOO_MANY


def code(outcome: Outcome) -> Code:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code
