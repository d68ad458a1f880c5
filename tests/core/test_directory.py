"""The directory: who is who across all books."""

from nostrbot.core.commands.specs import Role
from nostrbot.core.directory import Directory, Standing
from tests.houses import House, person


def test_everybody_is_found_in_the_right_book() -> None:
    """A machine has one book, an LP as many as it is enrolled in, a stranger none."""
    antigua = House.open()
    antigua.add_lp("ana")
    coban = House.empty(person("coban").pubkey)
    coban.say("platform", "operator add @coban name=coban")
    coban.say("coban", "machine add @m2 name=m1 fiat=GTQ cash_in=0 cash_out=0")
    coban.say("coban", "lp add @ana machine=m1 name=anita")
    directory = Directory([House.root().book, antigua.book, coban.book])
    here, there = antigua.book.key, coban.book.key

    assert directory.standing(person("ana").pubkey) == Standing(False, None, None, (here, there))
    assert directory.standing(person("operator").pubkey) == Standing(False, here, None, ())
    assert directory.standing(person("m2").pubkey) == Standing(False, None, there, ())
    assert directory.standing(person("platform").pubkey) == Standing(True, None, None, ())
    assert directory.standing(person("stranger").pubkey) == Standing(False, None, None, ())
    assert directory.machines == {person("m1").pubkey, person("m2").pubkey}
    assert directory.people == {person(name).pubkey for name in ("platform", "operator", "coban", "ana")}


def test_a_replaced_key_is_a_stranger_s() -> None:
    """The book is found by the key in force, under the name it always had."""
    house = House.open()
    house.say("platform", "operator replace antigua @new-operator")
    directory = Directory([house.book])
    assert directory.standing(person("operator").pubkey) == Standing(False, None, None, ())
    assert directory.standing(person("new-operator").pubkey) == Standing(False, house.book.key, None, ())
    assert directory.people == {person("platform").pubkey, person("new-operator").pubkey}


def test_a_suspended_machine_is_still_known() -> None:
    """It is answered, or it would repeat itself for ever."""
    house = House.open()
    house.say("operator", "machine suspend m1")
    assert person("m1").pubkey in Directory([house.book]).machines


def test_roles_that_command_with_the_platform_first() -> None:
    """A machine's key alone commands nothing."""
    assert Standing(True, "op", "op", ("op",)).roles == (Role.PLATFORM, Role.OPERATOR, Role.LP)
    assert Standing(False, None, "op", ()).roles == ()
