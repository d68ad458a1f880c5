"""Stories: what happens in each golden trail, by theme. Together they say and do all that can be said and done.

What lives here: who says what, and when. What does not: how it is decided and kept (scene.py), which of it must be in the
recorded trails (tests/audit/test_golden_trails.py). A story is told to the code of any rules: it asserts nothing, and what is
refused is no entry. A new command, fact, reason or bound belongs into a story before the trails of its rules are recorded;
no recorded trail changes by that.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.money import SATS_MAX
from nostrbot.nostr.sealing import Scheme
from tests.houses import payment_hash, person
from tests.vectors.scene import Scene

HALF_HOUR_S, DAY_S = 1_800, 86_400
BARE: dict[str, Any] = {"scheme": Scheme.PLAIN, "bills": None, "cassettes": None, "txid": ""}  # a sale of few bytes
NEXT = BARE | {"fiat": "10", "fee": 0, "tx_type": "cash_in"}
OPENING = """
    platform: operator add @operator name=antigua tz=America/Guatemala
    platform: platform fee cash_in=1% cash_out=1.5%
    operator: machine add @m1 name=m1 fiat=GTQ cash_in=5% cash_out=6.27%
"""
LPS_WITH_CASH = """
    operator: lp add @ana machine=m1 name=ana
    operator: lp add @ben machine=m1 name=ben
    ana: join
    ben/nip44: join mode=flow
    operator: deposit add ana 9000 machine=m1
    operator: deposit add ben 1000 machine=m1
    operator: deposit confirm d1
    operator: deposit confirm d2
"""


def moment(text: str) -> int:
    """Unix seconds of a UTC time like `2026-10-25T01:30`."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


async def commands(at: Scene) -> None:
    """Every command that is not about a settlement, in its variants; machines in currencies of 0, 2 and 3 decimals."""
    await at.script(
        """
        platform: platform fee cash_in=0% cash_out=0.0001%
        platform: operator add @operator name=antigua tz=America/Guatemala
        platform/nip44: operator add @flores name=flores
        platform/nip17: operator add @berlin name=berlin tz=Europe/Berlin
        platform: platform fee cash_in=1% cash_out=1.5%
        operator: machine add @m1 name=m1 fiat=GTQ cash_in=5% cash_out=6.27%
        operator/nip44: machine add @yen name=yen fiat=jpy cash_in=0 cash_out=100% location="Parque Central" trust=preimage
        operator/nip17: machine add @dinar name=dinar fiat=KWD cash_in=0.0001% cash_out=99.9999% enforce_fee_match=on trust=wallet
        operator: machine set m1 cash_in=4% cash_out=7.77% location="“Zócalo” ñ \u202e" trust=wallet enforce_fee_match=on
        operator: machine set m1 trust=signature enforce_fee_match=off
        operator: machine set yen location="" cash_out=6%
        operator: machine set dinar trust=signature enforce_fee_match=off cash_out=5%
        operator: /machine set m1 CASH_OUT=6.27%
        operator: !machine suspend m1
        operator: machine resume m1
        operator: machine rotate m1 @m1-b
        operator: guard m1 per_settlement=5000 per_day=20000.00 rate=5%
        operator: guard m1 per_settlement=off rate=0
        operator: guard m1 per_day=off rate=off
        operator: guard yen per_settlement=5000 per_day=90000
        operator: guard dinar per_day=0.001
        operator: guard dinar per_day=off
        operator: guard yen per_settlement=off per_day=off
        platform: platform fee cash_in=0.5% cash_out=2.25%
        platform: platform fee cash_in=0 cash_out=0
        platform: platform fee cash_in=1% cash_out=1.5%
        operator: alerts down=5 stuck=60 low=50 sheet=07:30
        operator/nip44: alerts low=0 sheet=off
        operator/nip17: alerts down=1m stuck=1
        operator: alerts low=1000000 sheet=7:05
        operator: fixed schedule 08:00,20:00
        operator: fixed schedule 8:00,00:00,23:59,12:15
        operator: fixed limit 2000
        operator: fixed limit 0.000000000000000001
        operator: fixed limit 99999999999999999999.99
        operator: fixed limit 99999999999999999999
        operator: fixed limit off
        operator: fixed schedule off
        """
    )
    at.keys["m1"] = "m1-b"
    await at.script(
        """
        operator: lp add @ana machine=m1 name=ana
        operator: lp add @ana machine=yen name=other
        operator/nip44: lp add @ben machine=yen name=BEN
        operator: lp add @eva machine=dinar name=eva
        operator: lp add @leo machine=m1 name=leo
        ana: join
        ana: mode fixed limit=500
        ana: mode fixed
        ana: join mode=flow
        ana: mode flow limit=0.05
        ana: join
        ana: pause
        ana: resume
        ana: forward ana@wallet.example.com
        ana: forward ANA+tips@wallet.example.com
        ana: forward off
        ben/nip44: join mode=fixed
        ben: pause
        ben/nip17: resume
        ben/nip17: mode flow
        eva/nip17: join mode=flow
        leo: join mode=fixed
        leo: join
        operator: lp suspend ana machine=yen
        operator: lp suspend ana
        operator: lp resume ana machine=m1
        operator: lp resume ana
        operator: lp suspend ben machine=yen
        operator: lp resume ben
        operator: deposit add ana 9000.00 machine=m1
        operator: deposit add ana 12345 machine=yen note="first bundle" currency=EUR
        operator: deposit add ben 1000 machine=yen
        operator: deposit add eva 0.001 machine=dinar
        operator: deposit add eva 123.456 machine=dinar note=""
        operator/nip44: deposit edit d1 amount=8000
        operator: deposit edit d1 note="two bundles"
        operator: deposit edit d2 amount=12346 note="“ñ” \u202e"
        operator/nip17: deposit confirm d1
        operator: deposit confirm D2
        operator: deposit cancel d3
        operator: deposit confirm d4
        operator: deposit confirm 5
        operator: deposit reverse d1 reason="torn notes" amount=100.5
        operator: deposit reverse d1 reason="counted wrong" amount=0.01
        operator: deposit reverse d2 reason="all of it"
        operator: deposit reverse d4 reason=x amount=0.001
        operator: deposit add leo 10000000000000 machine=m1
        operator: deposit confirm d6
        operator: deposit reverse d6 reason="a typo"
        """
    )
    await at.script(
        """
        operator: splits set house=60%:self ana=40%:ana
        operator/nip44: splits set a=33.3333%:@ana p=66.6666%:@paper z=0.0001%:@operator
        operator: splits set machine=m1 me=100%:self
        operator: splits set machine=yen ben=50%:BEN Paper=50%:@paper
        operator/nip17: splits clear machine=m1
        operator: splits clear machine=yen
        operator: splits set all=100%:@paper
        """
    )
    for fiat, rate, machine in (("250", "0.7", "yen"), ("12.345", "330000.5", "dinar"), ("777.77", "33.33", "m1")):
        proof = {"preimage": "ab" * 32, "payment_hash": sha256(bytes.fromhex("ab" * 32)).hexdigest()}
        await at.sell(machine, fiat=fiat, rate=rate, **(proof if machine == "yen" else {}))
        await at.sell(machine, fiat=fiat, rate=rate, tx_type="cash_in", fee=0, preimage=None)
    await at.state("m1", _1=(100, 480), _2=(50, 30), _10=(20, 0), _north=(1, 1_000_000))
    await at.state("m1", _2=(50, 31))
    await at.state("m1", age_s=40, _1=(1, 1), _3=(5, 5))
    await at.sell(bills=[{"denomination": 100, "count": 15}, {"denomination": 50, "count": 100}])
    await at.script(
        """
        operator: cassette set m1 1 count=500
        operator: cassette set m1 2 denomination=20
        operator/nip44: cassette set m1 north denomination=2 count=0
        operator: cassette count m1 1=478 2=300
        operator: cassette count m1 10=0 north=1 1=478
        operator: cassette publish m1
        operator/nip17: cassette publish m1
        """
    )
    await at.state("m1", _10=(20, 5), _north=(2, 7), _2=(20, 40), _1=(100, 90))
    for text in ("cassette publish m1", "machine set m1 cash_out=6%", "machine set m1 cash_out=6.27%"):
        at.now -= 60  # a clock that goes back: what a machine is told later has a later date all the same
        await at.say("operator", text)
        at.now -= 60
        await at.say("operator", text.replace("6", "5"))
    at.now += 3_600
    await at.state("yen", _1=(1000, 10))
    await at.state("dinar", _1=("0.5", 40), _2=("0.25", 8), _3=("20", 3), _4=(5, 1))
    await at.state("dinar", _1=("0.0005", 1))
    await at.sell(
        "dinar",
        fiat="1.5",
        rate="9000",
        bills=[{"denomination": "0.5", "count": 2}, {"denomination": "0.250", "count": 2}],
    )
    await at.sell("dinar", fiat="1", rate="9000", cassettes={"1": {"denomination": "0.5", "count": 36}})
    await at.script(
        """
        operator: cassette set dinar 2 denomination=0.5
        operator: cassette set dinar 2 denomination=0.0005
        operator: cassette count dinar 1=35 2=9
        operator: cassette publish dinar
        operator: cassette count yen 1=9
        operator: cassette publish yen
        operator: machine rotate yen @yen-b
        operator: machine suspend dinar
        """
    )
    # As people type.
    await at.script(
        """
        operator: “machine set m1 location=Parque”
        operator: Machine Set m1 location＝Plaza
        operator: machine set M1 cash_out=6,5%
        operator: deposit add ana 1.000 machine=m1
        operator: deposit add ana 0250 machine=m1
        operator: deposit add ana 250,50 machine=m1
        operator: deposit add leo 10000000000000 machine=m1
        operator: deposit confirm d7
        operator: deposit add leo 10000000000000 machine=m1
        operator: deposit confirm d8
        operator: deposit reverse d7 reason="more than a machine holds"
        """
    )
    await at.say("operator", "machine set m1 location=late", age_s=DAY_S)
    await at.say("operator", "machine set m1 location=early", age_s=-900)


async def rejections(at: Scene) -> None:
    """Every reason a settlement is rejected for, in their order; odd forms that are taken; repeats and conflicts."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.script(
        """
        operator: machine add @m2 name=m2 fiat=GTQ cash_in=5% cash_out=6.27%
        operator: machine add @cop name=cop fiat=COP cash_in=0 cash_out=0
        """
    )
    await at.sell(machine=person("m2").pubkey)
    for spoilt in (
        {"wire_sats": 107_771},
        {"principal_sats": 100_001, "wire_sats": 107_771},
        {"exchange_rate": "51"},
        {"exchange_rate": "-50"},
        {"exchange_rate": "0"},
        {"fiat_code": "EUR"},
        {"fiat_code": "JPY", "fiat_amount": "2000"},
        {"fiat_code": "XÐ"},
        {"fiat_amount": "-2000"},
        {"fee_sats": -7_770, "wire_sats": 92_230},
        {"wire_sats": -(2**60)},
        {"bills": [{"denomination": 0, "count": 1}]},
        {"bills": [{"denomination": 100, "count": -1}]},
        {"cassettes": {"1": {"denomination": -5, "count": 1}}},
        {"fiat_amount": "0", "principal_sats": 0, "fee_sats": 0, "wire_sats": 0},
        {"preimage": "00" * 32},
        {"bills": [{"denomination": 10**9 + 1, "count": 1}]},
        {"cassettes": {"1": {"denomination": 100, "count": 10**9 + 1}}},
        {
            "fiat_amount": "100000000000.01",
            "exchange_rate": "0.000001",
            "principal_sats": 100_000,
            "wire_sats": 107_770,
        },
    ):
        await at.sell(**(BARE | spoilt))
    await at.sell(principal=SATS_MAX + 1, fiat="1", rate=str(SATS_MAX + 1), fee=0)
    # Forms that are taken.
    await at.sell(fiat="2000.00000", rate="50.000")
    await at.sell(fiat="02000", rate=50)
    await at.sell(fiat=2000, rate="0050.0", bills=None, cassettes=None, n=None)
    await at.sell(fee=0, surplus={"of": ["anything"]}, n=0, txid="")
    await at.sell(txid="ñ“\u202e" * 20, occurred_at=0, bills=[], cassettes={})
    await at.sell(cassettes={"10": {"denomination": 20, "count": 0}, "2": {"denomination": 50, "count": 2**60}})
    await at.sell(n=2**53 - 1, occurred_at=2**53 - 1)
    # What a rate may be off by: 0.1 %, or what one minor unit of fiat buys.
    for principal in (522, 523):
        await at.sell("cop", fiat="2000", rate="0.2613", principal=principal, **BARE)
    for principal in (99_899, 99_900, 100_100, 100_101):
        await at.sell(principal=principal, **BARE)
    for principal in (33, 34, 32, 35):
        await at.sell(fiat="0.01", rate="3333", principal=principal, **BARE)
    await at.sell(fiat="0.01", rate="100.5", principal=1, fee=0)
    await at.sell(fiat="0.01", rate="0.5", principal=1, fee=0)
    for principal in (1, 2, 3):  # and a sat: machines floor what they sell (A19)
        await at.sell(fiat="1.00", rate="1.5", principal=principal, fee=0, **BARE)
    # Fees out of tolerance, taken and not taken; a preimage wanted.
    await at.sell(fee=7_700)
    await at.sell(fee=0)
    await at.sell(fee=50_000)
    await at.sell(tx_type="cash_in", fee=99_999)
    await at.sell(tx_type="cash_in", fee=100_000)
    await at.say("operator", "machine set m1 enforce_fee_match=on trust=preimage")
    await at.sell(fee=7_700)
    await at.sell(payment_hash=sha256(bytes.fromhex("cd" * 32)).hexdigest(), preimage="cd" * 32, fee=7_000)
    await at.sell(payment_hash=sha256(bytes.fromhex("cd" * 32)).hexdigest(), preimage="cd" * 32)
    await at.sell(payment_hash=payment_hash("x"), preimage="cd" * 32)
    await at.say("operator", "machine set m1 enforce_fee_match=off trust=signature")
    # The same again, under another date, with other content, and by another machine (A13).
    event = await at.sell()
    await at.take(event, "the very event")
    await at.sell(payment_hash=payment_hash(at.sold), n=at.sold, txid=f"{at.sold:04x}", occurred_at=at.now - 1)
    await at.sell(payment_hash=payment_hash(at.sold - 1), txid="changed")
    await at.sell("m2", payment_hash=payment_hash(at.sold - 2))
    await at.say("operator", "guard m2 per_settlement=0.01")
    stolen = payment_hash("true sale")
    await at.sell("m2", fiat="0.02", rate="50", fee=0, payment_hash=stolen)
    await at.sell(payment_hash=stolen)
    held = at.book("antigua").settlement_count - 1
    await at.say("operator", f'settlement refund s{held} reason="not true"')
    await at.sell(payment_hash=stolen, txid="true")
    # A preimage is proof: whoever has the hash without it is in doubt, and nobody takes the hash any more.
    await at.say("operator", "guard m2 per_settlement=off")
    proofs = [f"{place:02x}" * 32 for place in range(0xA0, 0xA6)]
    shown = [{"payment_hash": sha256(bytes.fromhex(proof)).hexdigest()} for proof in proofs]
    await at.sell("m2", fiat="500", **BARE, **shown[0])
    await at.sell("m1", fiat="500", **BARE, **shown[0])
    await at.sell("m1", fiat="500", **BARE, **shown[0], preimage=proofs[0])
    await at.sell("m2", fiat="501", **BARE, **shown[0], preimage=proofs[0])
    await at.sell("m2", fiat="502", **BARE, **shown[1])
    await at.sell("m1", fiat="502", **BARE, **shown[1], preimage=proofs[1])
    first = at.book("antigua").settlement_count - 1
    await at.script(
        f"""
        operator: settlement release s{first}
        operator: settlement refund s{first} reason="the other is proven"
        """
    )
    await at.sell("m2", fiat="503", **BARE, **shown[1])
    await at.sell("m1", fiat="504", **BARE, **shown[2], preimage=proofs[2])
    await at.say("operator", f'settlement refund s{at.book("antigua").settlement_count} reason="all back"')
    await at.sell("m1", fiat="505", **BARE, **shown[2])
    await at.say("operator", f"settlement partial s{at.book('antigua').settlement_count} fiat=5 note=jam")
    await at.say("operator", f'settlement refund s{at.book("antigua").settlement_count} reason="the rest"')
    await at.sell("m1", fiat="506", **BARE, **shown[2])  # of a correction something stands
    await at.say("operator", "guard m1 per_settlement=0.01")
    await at.sell("m1", fiat="507", **BARE, **shown[3])  # it waits, and is contradicted by itself with a proof
    await at.sell("m2", fiat="507", **BARE, **shown[3], wire_sats=1)
    await at.sell("m1", fiat="508", **BARE, **shown[3], preimage=proofs[3])
    await at.say("operator", "guard m1 per_settlement=off")
    # A machine with a new key says the same again, and something else.
    event = await at.sell("m1", fiat="509", **BARE, **shown[4])
    await at.say("operator", "machine rotate m1 @m1-b")
    at.keys["m1"] = "m1-b"
    said = at.sold
    await at.sell(fiat="509", n=said, **BARE, **shown[4], occurred_at=event.created_at - 1)
    await at.sell(fiat="510", **BARE, **shown[4])
    await at.sell(fiat="511", **BARE, **shown[4], preimage=proofs[4])
    # Keys that may not speak any more: suspended, rotated out, of a suspended operator (A20).
    await at.say("operator", "machine suspend m2")
    await at.sell("m2")
    await at.sell("m2", payment_hash=payment_hash(3))
    await at.say("operator", "machine resume m2")
    await at.sell("m2")
    await at.say("operator", "machine rotate m2 @m2-b")
    await at.sell("m2")
    at.keys["m2"] = "m2-b"
    await at.sell("m2", fiat="0.01", rate="100")
    await at.say("platform", "operator suspend antigua")
    await at.sell("m1")
    await at.sell("m2")
    await at.say("platform", "operator resume antigua")
    await at.sell("m1")


async def counters(at: Scene) -> None:
    """Numbers of settlements that are left out, come late, jump, and begin anew with another key (A16)."""
    await at.script(OPENING)
    await at.script("operator: machine add @m2 name=m2 fiat=GTQ cash_in=5% cash_out=6.27%")
    for n in (5, 6, 10, 8, 8, 7, 9, 3, 11, 20, 15, 13, 17, 499, 500):
        await at.sell(n=n, **NEXT)
    await at.say("operator", "machine rotate m1 @m1-b")
    at.keys["m1"] = "m1-b"
    for n in (1, 3, 501, 505):
        await at.sell(n=n, **NEXT)
    for n in (1000, 1_790_000_000, 1001, 1005, 2**53 - 1, 0):
        await at.sell("m2", n=n, **NEXT)
    for n in (1_000_001, 1_000_105, 1_000_107):
        await at.sell("m2", n=n, **NEXT)
    await at.say("operator", f"gap dismiss m2 {' '.join(str(1_000_002 + 2 * n) for n in range(50))}")
    await at.sell("m2", n=None, **NEXT)
    await at.script(
        """
        operator: gap dismiss m1 2
        operator: gap dismiss m1 502-504
        operator: gap dismiss m1 4, 6-9 100
        operator: gap dismiss m1
        operator: gap dismiss m2 1000002, 1000004 1000106
        operator: gap dismiss m2
        operator: gap dismiss m2
        """
    )
    for n in (1_000_108, 1_000_112, 5):  # the count that strayed is the machine's
        await at.sell("m2", n=n, **NEXT)
    await at.sell("m1", n=20_000, **NEXT)
    await at.say("operator", "gap dismiss m1", Scheme.NIP44)
    for n in (20_001, 20_003, 30_004, 9_000, 9_003, 20_004, 20_002):
        await at.sell("m1", n=n, **NEXT)
    await at.say("operator", "gap dismiss m1 20005-30003", Scheme.NIP17)
    await at.sell("m2", n=4, wire_sats=1, **NEXT)


async def holds(at: Scene) -> None:
    """Every reason a settlement waits for, and what becomes of it: released, refunded, set aside, tried again."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.say("operator", "machine set m1 trust=wallet")
    for _ in range(4):
        await at.sell(**BARE)
    await at.say("operator", "settlement reset s3 reason=early")
    await at.say("operator", "settlement retry s3")
    await at.say("operator", "machine set m1 trust=signature")
    await at.script(
        """
        operator: settlement release s1
        operator: settlement refund s2 reason="paid back"
        operator: settlement note s3 "“nobody” came ñ"
        operator: settlement reset s3 reason="never came"
        operator: settlement note s3 later
        operator: settlement retry s3
        operator: settlement reset s4 reason="never came"
        operator: settlement refund s4 reason="paid back"
        operator: guard m1 per_settlement=500 per_day=4000 rate=5%
        """
    )
    await at.sell(fiat="500", **BARE)
    await at.sell(fiat="500.01", **BARE)
    await at.say("operator", "settlement reset s6 reason=early")
    await at.say("operator", "settlement retry s6")
    await at.say("operator", "guard m1 per_settlement=off")
    await at.sell(fiat="1500", **BARE)
    await at.say("operator", "settlement reset s7 reason=early")
    await at.say("operator", "settlement retry s7")
    await at.sell(fiat="400", rate="52.5", **BARE)
    await at.say("operator", "guard m1 per_day=off")
    for rate in ("52.5", "52.6", "47.5", "47.4"):
        await at.sell(fiat="100", rate=rate, **BARE)
    await at.sell(fiat="100", rate="90", tx_type="cash_in", **BARE)
    at.now += HALF_HOUR_S
    await at.script(
        """
        operator: settlement release s6
        operator: settlement reset s7
        operator: settlement retry s7
        operator: settlement reset s10
        operator: settlement retry s10
        operator: settlement reset s10 reason="again"
        operator: guard m1 rate=off
        operator: settlement retry s10
        operator: settlement release s12
        operator: guard m1 per_day=1
        """
    )
    await at.sell(fiat="100", tx_type="cash_in", **BARE)
    await at.sell(fiat="100", tx_type="cash_in", **BARE)
    await at.script(
        """
        operator: settlement release s14
        operator: settlement refund s14 reason="took it back"
        operator: settlement refund s15 reason="took it back"
        operator: machine rotate m1 @m1-b
        """
    )
    at.keys["m1"] = "m1-b"
    await at.sell(fiat="3", **BARE)
    at.now += DAY_S
    await at.sell(fiat="1", **BARE)
    await at.sell(fiat="0.01", rate="5000", **BARE)
    at.now -= 3 * HALF_HOUR_S  # a clock that goes back: no entry is dated before the one before it
    await at.sell(fiat="0.02", rate="5000", **BARE)
    await at.script(
        """
        operator: guard m1 per_day=10 rate=off
        operator: settlement release s16
        operator: settlement release s18
        operator: machine add @m2 name=m2 fiat=GTQ cash_in=0 cash_out=0
        """
    )
    for _ in range(2):  # a limit a day is a limit a day
        at.now += DAY_S
        for fiat in ("4", "6", "0.02"):
            await at.sell(fiat=fiat, **BARE)
    for rate in ("60", "50", "60", "50"):  # of an even number of rates the lower of the middle two is the usual one
        await at.sell("m2", fiat="1", rate=rate, fee=0, **BARE)
    await at.say("operator", "guard m2 rate=5%")
    for rate in ("52", "58", "50.0000001"):
        await at.sell("m2", fiat="1", rate=rate, fee=0, **BARE)
    for place in range(12):  # and only the last eleven count
        await at.sell("m2", fiat="1", rate=str(50 + place % 3), fee=0, **BARE)
    await at.sell("m2", fiat="1", rate="55", **BARE)


async def corrections(at: Scene) -> None:
    """Partial dispenses, corrected again; refunds in each status; sales added by hand; splits that change meanwhile."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.script("operator: splits set house=33.3333%:self ana=33.3333%:ana paper=33.3334%:@paper")
    await at.state("m1", _1=(100, 480), _2=(50, 30))
    for _ in range(3):
        await at.sell()
    await at.sell(fiat="1999.99", rate="33.33", fee=6_000)
    await at.sell(tx_type="cash_in", fiat="300")
    await at.script(
        """
        operator: settlement partial s1 fiat=1500 note="jammed"
        operator: settlement partial s1 fiat=1500.01 note="counted again"
        operator: settlement partial s1 fiat=0.02 note="counted again"
        operator: splits set ben=100%:ben
        operator: settlement partial s1 fiat=1999.99 note="counted again"
        operator: settlement note s1 x
        operator: settlement refund s1 reason="paid back over Lightning"
        operator: settlement refund s2 reason="all of it"
        operator: settlement partial s4 fiat=0.04 note="nearly nothing"
        operator: settlement refund s4 reason="the rest"
        operator: settlement refund s5 reason="a cash-in"
        operator: cassette publish m1
        """
    )
    await at.script("operator: machine add @yen name=yen fiat=JPY cash_in=0 cash_out=10%")
    await at.sell("yen", fiat="3", rate="1.4", principal=4)
    await at.script(
        f"""
        operator: settlement partial s6 fiat=1 note=x
        operator: settlement partial s6 fiat=2 note=y
        operator: settlement add machine=m1 fiat_amount=2000 exchange_rate=50 fee_sats=7770 note="paid by hand"
        operator: settlement add machine=m1 fiat_amount=2000.00 principal_sats=100001
        operator: settlement add machine=m1 fiat_amount=0.03 principal_sats=1 fee_sats=0
        operator: settlement add machine=m1 fiat_amount=10 exchange_rate=50.5 principal_sats=505 fee_sats=5 wire_sats=510
        operator/nip44: settlement add machine=m1 fiat_amount=100 exchange_rate=50 tx_type=cash_in txid=b0c2 occurred_at=1790000000
        operator/nip17: settlement add machine=m1 fiat_amount=1 exchange_rate=50 payment_hash={payment_hash("by hand")}
        operator: settlement add machine=yen fiat_amount=100 principal_sats=33 occurred_at=2026-09-01 note=""
        operator: settlement partial s7 fiat=1000 note=half
        operator: settlement refund s7 reason=rest
        operator: settlement refund s8 reason=all
        operator: cassette publish m1
        """
    )
    await at.sell(payment_hash=payment_hash("by hand"))
    # Cash that came after the sale pays no part of a correction; cash that went since is missing in it.
    await at.script(
        """
        operator: lp add @eva machine=m1 name=eva
        eva: join
        operator: deposit add eva 700 machine=m1
        operator: deposit confirm d3
        operator: settlement partial s3 fiat=1000 note="old one"
        operator: deposit reverse d2 reason="all that is left" amount=500
        operator: settlement partial s3 fiat=1900 note="old one"
        operator: lp suspend ana
        operator: settlement partial s3 fiat=1 note="old one"
        """
    )
    for fiat in ("9000", "0.01", "10", "700.33"):
        await at.sell(fiat=fiat, rate="33.33")
    await at.say("operator", "lp resume ana")
    for fiat in ("123.45", "50000", "10"):
        await at.sell(fiat=fiat, rate="0.77", principal=None)
    # All of it came out after all: the correction is taken back, and may be made again.
    await at.script("operator: settlement partial s3 fiat=2000 note=recounted")
    await at.sell(fiat="40")
    last = at.book("antigua").settlement_count
    await at.script(
        f"""
        operator: settlement partial s{last} fiat=10 note=jam
        operator: settlement partial s{last} fiat=40 note="found in the tray"
        operator: settlement partial s{last} fiat=40 note="found in the tray"
        operator: settlement partial s{last} fiat=30 note="one note short"
        operator: settlement partial s{last} fiat=40.00 note="and found"
        operator: settlement refund s{last} reason="all of it"
        operator: settlement partial s6 fiat=3 note="yen, too"
        """
    )


async def compromised(at: Scene) -> None:
    """A machine's key was stolen: frozen sales released and refunded, again and since other times; `settle` meanwhile."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.script("operator: splits set house=50%:self ana=25%:ana paper=25%:@paper")
    for _ in range(3):
        await at.sell()
    since = at.now + 1
    await at.sell(fiat="500")
    await at.sell(fiat="100", tx_type="cash_in")
    await at.sell(fiat="600")
    await at.say("operator", "settlement partial s6 fiat=400 note=jam")
    await at.sell(fiat="70")
    await at.say("operator", "settlement refund s7 reason=x")
    await at.say("operator", "guard m1 per_settlement=1")
    await at.sell(fiat="80")
    await at.sell(fiat="90")
    await at.say("operator", "guard m1 per_settlement=off")
    await at.say("operator", "settlement reset s9 reason=x")
    await at.sell(fiat="10")
    await at.script(
        f"""
        operator: machine compromised m1 since={since}
        operator: settlement note s4 "looked into"
        operator: settlement release s4
        operator: settlement refund s5 reason="not true"
        operator: settlement refund s6 reason="not true"
        operator: settlement release s6
        operator: settlement refund s8 reason="not true"
        operator: settlement refund s9 reason="not true"
        operator: settlement refund s10 reason="not true"
        operator: machine compromised m1 since=2026-09-20
        operator: settlement release s2
        operator: settlement refund s1 reason="not true"
        operator: machine rotate m1 @m1-b
        operator: machine resume m1
        operator: settle ana 10 machine=m1 rate=50
        """
    )
    at.keys["m1"] = "m1-b"
    await at.sell(by="m1", fiat="5")
    await at.sell(fiat="6")
    await at.script(
        """
        operator: machine compromised m1 since=0
        operator: settlement release s3
        operator: machine resume m1
        operator: settle ana 20 machine=m1
        """
    )
    await at.sell(fiat="7")
    await at.script(
        f"""
        operator: lp add @eva machine=m1 name=eva
        eva: join mode=fixed
        operator: deposit add eva 3 machine=m1
        operator: deposit confirm d3
        operator: fixed schedule 08:00
        operator: machine compromised m1 since={at.now}
        """
    )
    await at.tick(at.now + DAY_S)  # a thief's price is none
    await at.say("operator", "machine resume m1")
    await at.sell(fiat="2")
    await at.tick(at.now + DAY_S)  # a new one is


async def fixed(at: Scene) -> None:
    """Fixed mode over several days and both changes of the clock: no price, short of sats, rounds to zero; `settle`."""
    await at.script(
        """
        platform: operator add @berlin name=berlin tz=Europe/Berlin
        platform: platform fee cash_in=1% cash_out=1.5%
        berlin: machine add @m1 name=m1 fiat=EUR cash_in=5% cash_out=6%
        berlin: machine add @yen name=yen fiat=JPY cash_in=5% cash_out=6%
        berlin: machine add @dinar name=dinar fiat=KWD cash_in=5% cash_out=6%
        berlin: lp add @ana machine=m1 name=ana
        berlin: lp add @ana machine=yen name=ana
        berlin: lp add @ben machine=m1 name=ben
        berlin: lp add @eva machine=dinar name=eva
        berlin: lp add @leo machine=m1 name=leo
        ana: join mode=fixed
        ben: join mode=fixed
        ben: mode fixed limit=33.33
        eva: join mode=fixed
        leo: join
        berlin: deposit add ana 1000 machine=m1
        berlin: deposit add ana 5000 machine=yen
        berlin: deposit add ben 300 machine=m1
        berlin: deposit add eva 1.005 machine=dinar
        berlin: deposit add leo 50 machine=m1
        berlin: deposit confirm d1
        berlin: deposit confirm d2
        berlin: deposit confirm d3
        berlin: deposit confirm d4
        berlin: deposit confirm d5
        berlin: fixed limit 100
        berlin: fixed schedule 00:00,02:30,08:00,20:00
        """
    )
    await at.tick(moment("2026-09-21T18:30"))  # no price yet
    await at.sell(fiat="100", rate="1000", tx_type="cash_in")
    await at.sell("yen", fiat="300", rate="7")
    await at.tick(moment("2026-09-22T06:30"))  # three slots at once; short of sats
    await at.sell(fiat="2000", rate="1111.1", fee=500_000)
    await at.tick(moment("2026-09-22T18:00"))
    await at.sell("dinar", fiat="10", rate="0.5")  # rounds to zero
    for text in ("2026-09-23T00:00", "2026-09-23T05:59", "2026-09-23T06:00", "2026-09-23T23:00"):
        await at.tick(moment(text))
    await at.script(
        """
        berlin: fixed schedule 00:00,06:00,23:59
        ben: pause
        berlin: lp suspend ana machine=yen
        berlin: fixed limit 0.009
        """
    )
    await at.tick(moment("2026-09-24T04:00"))
    await at.script(
        """
        ben: resume
        berlin: lp resume ana
        berlin: fixed limit 123.456
        berlin: fixed schedule 02:30,03:30
        """
    )
    for text in ("2026-10-25T00:29", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"):  # 02:30 comes twice
        await at.tick(moment(text))
    for text in ("2027-03-28T00:59", "2027-03-28T01:00", "2027-03-28T01:30", "2027-03-28T02:30"):  # 02:30 is left out
        await at.tick(moment(text))
    at.now = moment("2027-03-29T00:00")
    await at.sell(fiat="5", rate="1000")
    await at.script(
        """
        berlin: deposit add leo 50 machine=m1
        berlin: deposit confirm d6
        berlin: settle leo 10 machine=m1
        berlin: settle leo 0.5 machine=m1 rate=0.0777777777777777
        berlin: settle leo 0.5 machine=m1 rate=3.3333
        ben: mode flow
        berlin: settle ben 1 machine=m1 rate=900
        berlin: fixed schedule off
        """
    )
    await at.tick(moment("2027-03-30T12:00"))


async def operators(at: Scene) -> None:
    """LPs at two operators, whose choices are carried; operators suspended, resumed and replaced; the bot rotated twice."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.script(
        """
        ana: mode fixed limit=12.5
        ana/nip44: forward ana@wallet.example.com
        ana: pause
        platform: operator add @flores name=flores tz=Pacific/Apia
        flores: machine add @f1 name=f1 fiat=USD cash_in=0 cash_out=5%
        flores: lp add @ana machine=f1 name=anita
        flores: lp add @ben machine=f1 name=ben
        flores: lp add @eva machine=f1 name=eva
        ana: resume
        ben/nip17: mode fixed
        platform: operator suspend antigua
        ben: mode flow
        platform: platform fee cash_in=0.5% cash_out=0.25%
        platform: operator resume antigua
        platform: operator replace antigua @operator-b
        operator-b: machine set m1 cash_out=1%
        """
    )
    await at.sell()
    at.now += 2 * DAY_S  # what is carried from now on is older than a command may be
    await at.rotate("bot-b")
    await at.script(
        """
        operator-b: machine set m1 cash_out=2%
        platform: operator add @coban name=coban tz=Asia/Kathmandu
        coban: machine add @c1 name=c1 fiat=KWD cash_in=0 cash_out=0
        coban: lp add @ana machine=c1 name=ana
        operator-b: lp add @eva machine=m1 name=eva
        eva: join mode=fixed
        """
    )
    await at.sell(fiat="10")
    await at.sell("f1", fiat="10", tx_type="cash_in")
    at.now += 2 * DAY_S
    await at.rotate("bot-c")
    await at.script(
        """
        platform: operator add @tikal name=tikal
        platform: operator suspend tikal
        platform: operator replace coban @coban-b
        platform: operator replace flores @flores-b
        platform: platform fee cash_in=0 cash_out=3%
        platform: operator add @peten name=peten tz=America/New_York
        peten: machine add @p1 name=p1 fiat=GTQ cash_in=0 cash_out=0
        peten: lp add @ben machine=p1 name=ben
        peten: lp add @eva machine=p1 name=eva
        ana: forward off
        """
    )
    await at.sell(fiat="20")


async def parties(at: Scene) -> None:
    """Who shares: a stranger who joins later (A10), the bot itself (A15), machine and platform; own sats paid on, then refunded (A11)."""
    await at.script(OPENING)
    await at.script("operator: splits set xena=50%:@xena bot=25%:@bot m1=15%:@m1 p=10%:@platform")
    await at.sell()
    await at.script(
        """
        operator: lp add @xena machine=m1 name=xena
        operator: lp add @bot machine=m1 name=bot
        xena: join
        bot: join
        operator: deposit add xena 100 machine=m1
        operator: deposit confirm d1
        """
    )
    await at.sell(fiat="100")
    await at.script("operator: splits set machine=m1 xena=50%:@xena own=50%:@operator")
    await at.sell(fiat="250", tx_type="cash_in")
    await at.sell(fiat="0.01", rate="100", fee=1)
    await at.script(
        """
        operator: settlement refund s1 reason=x
        operator: lp add @operator machine=m1 name=me
        operator: join
        operator: deposit add me 10 machine=m1
        operator: deposit confirm d2
        operator: splits clear machine=m1
        """
    )
    await at.sell(fiat="10")
    await at.speak("m1", Subject.BEACON, {"name": "m1", "cash_in": True}, Scheme.PLAIN)
    await at.sell(fiat="3000")
    await at.script(
        f"""
        operator: deposit add me 1000 machine=m1
        operator: deposit confirm d3
        operator: settle me 0.05 machine=m1 rate=20
        operator: settle me 900 machine=m1 rate=100
        operator: settlement refund s{at.book("antigua").settlement_count} reason="its sats are paid on already"
        operator: machine add @bot name=bot fiat=GTQ cash_in=0 cash_out=0
        operator: machine add @platform name=p fiat=GTQ cash_in=0 cash_out=0
        operator: machine rotate m1 @xena
        operator: lp add @m1 machine=m1 name=m1
        platform: operator add @m1 name=next
        """
    )
    # What waits for a key is its owner's once it has one here: an LP's, or the operator's; and goes back with its sale.
    await at.script("operator: splits set leo=40%:@leo next=60%:@operator-b")
    for fiat in ("400", "500", "600"):
        await at.sell(fiat=fiat)
    first = at.book("antigua").settlement_count - 2
    await at.script(
        f"""
        operator: lp add @leo machine=m1 name=leo
        platform: operator replace antigua @operator-b
        leo: join
        operator-b: settlement partial s{first} fiat=100 note=jam
        operator-b: settlement refund s{first + 1} reason="not true"
        operator-b: settlement partial s{first} fiat=400 note="all came out"
        operator-b: settlement refund s{first} reason="not true"
        operator-b: settlement refund s{first + 2} reason="not true"
        operator-b: splits set first=50%:@operator leo=25%:leo more=25%:@leo
        operator-b: splits set first=50%:@operator leo=50%:@leo
        """
    )
    await at.sell(fiat="30")
    await at.rotate("bot-b")
    await at.sell(fiat="1")


async def freed(at: Scene) -> None:
    """A machine's key in the wrong operator's book: the platform frees it, and its owner enrols it (A12)."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.sell()
    event = await at.sell(fiat="100")
    await at.script(
        """
        platform: operator add @flores name=flores tz=Europe/Berlin
        flores: machine add @m1 name=f1 fiat=EUR cash_in=0 cash_out=5%
        platform: machine free @nobody
        platform/nip44: machine free @m1
        platform: machine free @m1
        operator: machine resume m1
        operator: machine rotate m1 @m1-b
        operator: machine resume m1
        operator: settlement refund s2 reason="the owner's"
        flores: machine add @m1 name=f1 fiat=EUR cash_in=0 cash_out=5%
        flores: lp add @ana machine=f1 name=anita
        ana: join
        flores: deposit add anita 100 machine=f1
        flores: deposit confirm d1
        """
    )
    at.keys |= {"m1": "m1-b", "f1": "m1"}
    await at.take(event, "a sale of before the key was freed")
    await at.sell(fiat="10")
    await at.sell("f1", fiat="10")
    await at.state("f1", _1=(50, 10))
    await at.script(
        """
        operator: machine rotate m1 @m1-c
        platform/nip17: machine free @m1-b
        """
    )


async def payments(at: Scene) -> None:
    """What LPs are paid apart from sales: a price that is not settled, payments taken back, and what left meanwhile (A3, A11)."""
    await at.script(OPENING + LPS_WITH_CASH)

    def last_leg() -> int:
        return at.book("antigua").leg_count

    await at.sell(fiat="12000")  # more than the LPs have
    await at.script(
        """
        operator: deposit add ben 90 machine=m1
        operator: deposit confirm d3
        operator: lp add @eva machine=m1 name=eva
        eva: join mode=fixed
        operator: deposit add eva 900 machine=m1
        operator: deposit confirm d4
        operator: fixed schedule 08:00,20:00
        operator: fixed limit 60
        """
    )
    for rate in ("51", "50"):
        await at.sell(fiat="1", rate=rate, **BARE)
    await at.sell(fiat="100", rate="40", tx_type="cash_in", **BARE)
    at.now += DAY_S
    await at.tick(at.now)
    slot = last_leg()
    await at.sell(fiat="1", rate="500", **BARE)
    await at.script("operator: settle ben 1 machine=m1")
    at.now += DAY_S
    await at.tick(at.now)  # the newest rate is far off the usual one
    unpaid = last_leg()
    await at.sell(fiat="1", rate="52", **BARE)
    at.now += DAY_S
    await at.tick(at.now)
    await at.script("operator: settle ben 2 machine=m1 rate=55.5")
    own = last_leg()
    await at.script(
        f"""
        operator: payment void l{own} reason="it was 3"
        operator: payment void l{own} reason="it was 3"
        operator: settle ben 3 machine=m1
        operator/nip44: payment void l{slot} reason="a slot of days ago"
        operator/nip17: payment void l{own - 1} reason="a slot of today"
        operator: payment void l{unpaid} reason="nothing was paid"
        operator: payment void l1 reason="of a sale"
        operator: payment void l999 reason="not there"
        eva: pause
        """
    )
    at.now += DAY_S
    await at.tick(at.now)
    await at.script("eva: resume")
    at.now += HALF_HOUR_S
    await at.tick(at.now)
    # Of two rates that disagree neither is the price; a guard says how near they must be.
    await at.script(
        """
        operator: machine add @m2 name=m2 fiat=GTQ cash_in=0 cash_out=0
        operator: lp add @eva machine=m2 name=eva
        operator: lp add @ana machine=m2 name=ana
        operator: deposit add eva 500 machine=m2
        operator: deposit add ana 500 machine=m2
        operator: deposit confirm d5
        operator: deposit confirm d6
        """
    )
    for rate in ("50", "60"):
        await at.sell("m2", fiat="5", rate=rate, **BARE)
    at.now += DAY_S
    await at.tick(at.now)
    await at.script(
        """
        operator: settle ana 1 machine=m2
        operator: guard m2 rate=25%
        """
    )
    at.now += DAY_S
    await at.tick(at.now)
    await at.script("operator: settle ana 4 machine=m2")
    there = last_leg()
    # A stolen key's price, and its sats.
    await at.sell("m2", fiat="40", rate="50", **BARE)
    sale = at.book("antigua").settlement_count
    await at.script(
        f"""
        operator: machine compromised m2 since={at.now - DAY_S - HALF_HOUR_S}
        operator: settle ana 1 machine=m2
        operator: payment void l{there} reason="a thief's price"
        operator: settlement refund s{sale} reason="a thief's"
        operator: fixed schedule off
        """
    )
    # What a sale brought, and is paid on.
    await at.sell(fiat="9000", rate="50")
    brought = at.book("antigua").settlement_count
    await at.script(
        """
        operator: deposit add ben 900 machine=m1
        operator: deposit confirm d7
        operator: settle ben 200 machine=m1 rate=1000
        operator: settle ben 250 machine=m1 rate=1000
        """
    )
    spent = last_leg()
    await at.script(
        f"""
        operator: settlement refund s{brought} reason="own sats of it have left"
        operator: settlement partial s{brought} fiat=1 note="own sats of it have left"
        operator: payment void l{spent} reason="to refund it"
        operator: payment void l{spent - 1} reason="to refund it"
        operator: settlement refund s{brought} reason="not true"
        """
    )


async def clocks(at: Scene) -> None:
    """A clock that ran ahead: what is heard is judged by the time it was heard, until a person sets the book's time right."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.script(
        """
        platform: operator add @flores name=flores
        operator: lp add @eva machine=m1 name=eva
        eva: join mode=fixed
        operator: deposit add eva 300 machine=m1
        operator: deposit confirm d3
        operator: fixed schedule 08:00,20:00
        operator: fixed limit 10
        operator: guard m1 per_day=3000
        """
    )
    await at.sell(n=1)
    at.now += 40 * DAY_S
    await at.tick(at.now)
    await at.sell(fiat="500", n=3)
    await at.state("m1", _1=(100, 10))
    await at.say("operator", "machine set m1 location=ahead")
    await at.say("platform", "platform fee cash_in=1% cash_out=1.25%")
    at.now -= 40 * DAY_S
    await at.say("operator", "machine set m1 location=fresh")
    await at.say("operator", "deposit add ben 12 machine=m1", Scheme.NIP44)
    await at.say("operator", "deposit confirm d4", Scheme.NIP17)
    await at.say("operator", "machine set m1 location=late", age_s=DAY_S + 1)
    await at.say("operator", "machine set m1 location=early", age_s=-901)
    await at.say("operator", "machine set m1 location=old", age_s=DAY_S - 60)
    await at.say("platform", "platform fee cash_in=1% cash_out=1.5%")
    await at.say("ana", "forward ana@wallet.example.com")
    await at.sell(fiat="10", n=4)
    await at.state("m1", _1=(100, 9))
    await at.say("operator", f"machine compromised m1 since={at.now}")
    await at.say("operator", "machine resume m1")
    await at.tick(at.now)
    await at.heal()
    await at.say("operator", "machine set m1 location=healed")
    await at.sell(fiat="600", n=7)
    await at.state("m1", _1=(100, 8))
    at.now += DAY_S
    await at.tick(at.now)
    await at.sell(fiat="2500", n=8)
    at.now += 40 * DAY_S
    await at.say("operator", "machine set m1 location=ahead")
    await at.heal(back_s=10)
    await at.rotate("bot-b")
    at.now -= DAY_S
    await at.say("operator", "machine set m1 location=rotated")
    await at.heal()
    await at.sell(fiat="10", n=9)


async def bounds(at: Scene) -> None:
    """The largest numbers there are: of fiat, sats, rates, debts, and of what a book may owe (A1, A3, A4, A14, A17)."""
    await at.script(OPENING)
    await at.script("operator: machine add @m2 name=m2 fiat=JPY cash_in=0 cash_out=0")
    for _ in range(3):  # a sat for nearly all the fiat there is
        await at.sell(fiat="90000000000000.00", rate="0.000000000000011111", principal=1, fee=0, tx_type="cash_in")
    await at.sell("m2", fiat=2**53 - 1, rate="0.0000000000000001110", principal=1, fee=0, tx_type="cash_in")
    await at.sell(fiat="2000.00", rate="0.0005", fee=0)
    await at.sell(fiat="0.01", rate=str(SATS_MAX * 100), fee=0)
    await at.sell(fiat="0.01", rate="2" * 40, principal=SATS_MAX, fee=0)
    await at.sell(fiat="21000000.00", rate="100000000.000000000000000001", principal=SATS_MAX, fee=0)
    await at.sell(fiat="9999999999999.99", rate="0.0000000000001234", principal=1, fee=0)
    await at.script(
        """
        operator: lp add @ana machine=m1 name=ana
        ana: join mode=fixed
        operator: deposit add ana 40 machine=m1
        operator: deposit confirm d1
        operator: lp add @ben machine=m1 name=ben
        ben: join
        operator: deposit add ben 10000000000000 machine=m1
        operator: deposit confirm d2
        operator: fixed schedule 08:00
        operator: fixed limit 0.01
        """
    )
    await at.sell(fiat="0.01", rate=str(SATS_MAX * 100), fee=0)
    at.now += DAY_S
    await at.tick(at.now)
    await at.say("operator", "fixed limit 40")
    at.now += DAY_S
    await at.tick(at.now)  # short of 8.4e18 sats
    for _ in range(3):
        await at.sell(fiat="21000000", rate="100000000", principal=SATS_MAX, fee=0)
    await at.sell(fiat="20000000", rate="100000000", principal=SATS_MAX - SATS_MAX // 21, fee=SATS_MAX // 21)
    await at.say("operator", "settlement partial s9 fiat=7000000.01 note=x")
    for _ in range(3):
        await at.sell("m2", fiat=21_000_000, rate=100_000_000, fee=0, **BARE)
    await at.sell("m2", fiat=20_000_000, rate=100_000_000, fee=0)
    held = at.book("antigua").settlement_count - 1  # the book would owe more than there is
    at.now += HALF_HOUR_S
    await at.script(
        f"""
        operator: settlement release s{held}
        operator: settlement reset s{held} reason=again
        operator: settlement retry s{held}
        operator: settlement add machine=m1 fiat_amount=21000000 exchange_rate=100000000
        operator: settle ben 21000000 machine=m1 rate=100000000
        operator: settle ben 5000000 machine=m1 rate=1000000
        """
    )
    await at.script(
        """
        operator: settlement refund s15 reason="bogus"
        operator: machine compromised m2 since=0
        operator: machine rotate m2 @m2-b
        operator: machine resume m2
        """
    )
    at.keys["m2"] = "m2-b"
    await at.sell("m2", fiat=21_000_000, rate=100_000_000, fee=0)
    await at.sell("m2", fiat=1, rate=1, fee=0)


async def days(at: Scene) -> None:
    """The most that a machine books in a day; and a price so high that more is due than there is."""
    await at.script(OPENING)
    await at.script(
        """
        operator: machine add @m2 name=m2 fiat=JPY cash_in=0 cash_out=0
        operator: machine add @m3 name=m3 fiat=GTQ cash_in=0 cash_out=0
        operator: lp add @ana machine=m3 name=ana
        ana: join mode=fixed
        operator: deposit add ana 1000 machine=m3
        operator: deposit confirm d1
        operator: fixed schedule 08:00
        operator: fixed limit 1000
        """
    )
    await at.sell("m3", fiat="0.01", rate=str(SATS_MAX * 100 - 10**9), fee=0)
    at.now += DAY_S
    await at.tick(at.now)
    for _ in range(100):
        await at.sell("m2", fiat=10**13, rate="0.0000000000001", principal=1, fee=0, tx_type="cash_in", n=None, **BARE)
    await at.sell("m2", fiat=1, rate=1, fee=0)
    await at.say("operator", "guard m2 per_settlement=20000000")
    await at.sell("m2", fiat=1, rate=1, fee=0)
    held = at.book("antigua").settlement_count
    at.now += HALF_HOUR_S
    await at.script(
        f"""
        operator: settlement reset s{held} reason=x
        operator: settlement retry s{held}
        operator: settlement release s{held - 1}
        """
    )
    at.now += DAY_S
    await at.sell("m2", fiat=1, rate=1, fee=0)


Story = Callable[[Scene], Awaitable[None]]

STORIES: tuple[Story, ...] = (
    commands,
    rejections,
    counters,
    holds,
    corrections,
    compromised,
    fixed,
    operators,
    parties,
    bounds,
    freed,
    payments,
    clocks,
    days,
)
