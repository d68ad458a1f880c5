"""A recorded day: enough of everything, always the same inputs in the same order. Run, it prints the head of its chain.

python -m tests.days
"""

from tests.houses import House

LPS = ("ana", "ben", "eva", "leo", "mia", "noe")


def recorded_day() -> House:
    """A day at three machines with six LPs: sales, repeats, rejections, splits, switches, reversals, a restart."""
    house = House.open()
    for machine, fiat in (("m2", "GTQ"), ("yen", "JPY")):
        house.add_machine(machine, fiat)
    for place, lp in enumerate(LPS):
        for machine in ("m1", "m2", "yen")[place % 2 :]:
            house.say("operator", f"lp add @{lp} machine={machine} name={lp}")
        house.say(lp, "join")
        house.add_cash(lp, f"{(place + 1) * 700}", machine="m2")
    house.add_cash("ana", "3000")
    house.add_cash("eva", "7", machine="yen")
    house.say("operator", "splits set house=33.3333%:self ana=33.3333%:ana paper=33.3334%:@paper")
    house.say("operator", "splits set machine=yen eva=100%:eva")
    for fiat in ("10.00", "0.01", "777.77", "1999.99"):
        house.sell("m2", fiat=fiat, rate="33.33")
        house.sell("m1", fiat=fiat, tx_type="cash_in")
    house.sell("yen", fiat="500", rate="0.7")
    house.take(house.entries[-1].given)
    house.sell("m1", wire_sats=1)
    house.say("operator", "lp suspend ana")
    house.restart()
    house.say("operator", "lp resume ana")
    house.say("operator", 'deposit reverse d6 amount=100 reason="torn notes"')
    house.say("platform", "platform fee cash_in=0.5% cash_out=2.25%")
    house.sell("m2", fiat="12345.67")
    house.say("operator", "machine set m1 trust=wallet")
    house.sell("m1")
    return house


if __name__ == "__main__":
    print(recorded_day().chain.head)
