"""Lives of a house in which people do what people do: the invariants I1-I9 hold after every step (tests/lives.py).

Deposits on their way in and back; switches, modes, fees and splits; and all that machines do meanwhile. Lives in which
people say anything there is to say are in tests/core/test_whole_table.py.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.effort import examples
from tests.lives import Life, cents, machines

LPS = ("ana", "ben", "eva", "leo")
SPLITS = ("me=100%:self", "me=50%:self ana=50%:ana", "a=33.3333%:ana p=66.6666%:@paper z=0.0001%:self", "a=50%:self")

lps, numbers = st.sampled_from(LPS), st.integers(1, 8)


class OrdinaryLife(Life):
    """One house, living."""

    @initialize(joined=st.lists(st.sampled_from(LPS), unique=True, max_size=4))
    def open(self, joined: list[str]) -> None:
        self.begin()
        for lp in joined:
            self.house.add_lp(lp, "1000", machine="m1")

    @rule(lp=lps, machine=machines)
    def enrol(self, lp: str, machine: str) -> None:
        self.house.say("operator", f"lp add @{lp} machine={machine} name={lp}")

    @rule(lp=lps, said=st.sampled_from(["join", "join", "mode flow", "mode fixed limit=5"]))
    def choose(self, lp: str, said: str) -> None:
        self.house.say(lp, said)

    @rule(lp=lps, machine=machines, amount=cents, confirm=st.booleans())
    def deposit(self, lp: str, machine: str, amount: str, confirm: bool) -> None:
        self.house.say("operator", f"deposit add {lp} {amount} machine={machine}")
        if confirm:
            self.house.say("operator", f"deposit confirm d{len(self.house.book.deposits)}")

    @rule(number=numbers, verb=st.sampled_from(["confirm", "cancel", "edit"]), amount=cents)
    def move_deposit(self, number: int, verb: str, amount: str) -> None:
        more = f" amount={amount}" if verb == "edit" else ""
        self.house.say("operator", f"deposit {verb} d{number}{more}")

    @rule(number=numbers, amount=st.none() | cents)
    def reverse_deposit(self, number: int, amount: str | None) -> None:
        part = f" amount={amount}" if amount else ""
        self.house.say("operator", f"deposit reverse d{number} reason=torn{part}")

    @rule(
        said=st.sampled_from(["suspend", "resume"]),
        noun=st.sampled_from(["machine m1", "machine m2", "lp ana", "lp ben"]),
    )
    def switch(self, said: str, noun: str) -> None:
        kind, name = noun.split()
        self.house.say("operator", f"{kind} {said} {name}")

    @rule(said=st.sampled_from(["operator suspend antigua", "operator resume antigua", "operator resume antigua",
                                "platform fee cash_in=0 cash_out=2%", "platform fee cash_in=1% cash_out=99%"]))  # fmt: skip
    def command_of_the_platform(self, said: str) -> None:
        self.house.say("platform", said)

    @rule(
        machine=machines,
        setting=st.sampled_from(["cash_out=0", "cash_out=100%", "enforce_fee_match=on", "enforce_fee_match=off",
                                 "trust=wallet", "trust=preimage", "trust=signature", "trust=signature"]),
    )  # fmt: skip
    def set_machine(self, machine: str, setting: str) -> None:
        self.house.say("operator", f"machine set {machine} {setting}")

    @rule(where=st.sampled_from(["", "machine=m1 ", "machine=m2 "]), shares=st.sampled_from(SPLITS))
    def set_splits(self, where: str, shares: str) -> None:
        self.house.say("operator", f"splits set {where}{shares}")


OrdinaryLife.TestCase.settings = settings(
    max_examples=examples(120), stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = OrdinaryLife.TestCase
