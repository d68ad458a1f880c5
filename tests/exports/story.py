"""What happened in the home that the tests export: every way money moves, and people who write what they should not.

What lives here: the story, told to an office. What does not: what must come out of it, which the tests say.
"""

from tests.offices import ANA, BOT, MACHINE, OPERATOR, PLATFORM, Office, look_at_clock, report
from tests.signers import Signer

DAY_S = 24 * 3600
FORMULA = "=cmd|' /C calc'!A0"
BACKWARDS = "\u202eelpmis ton\u202c"
ACCUSED = 'he said "no"\\'
LAGO, M9, CARO, PARTNER = (Signer(name) for name in ("lago", "m9", "caro", "partner"))

SECOND_HOUSE = (
    (PLATFORM, f"operator add {LAGO.npub} name=lago tz=Asia/Tokyo"),
    (LAGO, f"machine add {M9.npub} name=m9 fiat=JPY cash_in=5% cash_out=6.27%"),
    (LAGO, f"lp add {CARO.npub} machine=m9 name=caro"),
    (CARO, "join"),
    (LAGO, "deposit add caro 300000 machine=m9"),
    (LAGO, "deposit confirm d1"),
)


async def live(at: Office) -> None:
    """Two months, from 21 September 2026."""
    await _sell_and_correct(at)
    at.now += 20 * DAY_S
    await _hold_and_release(at)
    at.now += 30 * DAY_S
    await _pay_and_take_back(at)
    await at.say(*SECOND_HOUSE)
    sale = {"fiat_amount": "20000", "fiat_code": "JPY", "exchange_rate": "5", "bills": [], "cassettes": {}}
    await at.take(report(1, at.now, machine=M9, **sale))


async def _say(at: Office, *texts: str) -> None:
    """The operator's commands, a minute apart."""
    for text in texts:
        at.now += 60
        await at.say((OPERATOR, text))


async def _sell_and_correct(at: Office) -> None:
    await _say(at, f"splits set @SUM=50%:{PARTNER.npub} own=50%:self")
    await at.take(report(1, at.now))
    bought = {"principal_sats": 5_000, "wire_sats": 4_700, "fee_sats": 300, "fiat_amount": "100.00"}
    await at.take(report(2, at.now, tx_type="cash_in", **bought))
    await _say(at, f'settlement partial s1 fiat=1000 note="{FORMULA}"', f'settlement refund s1 reason="{BACKWARDS}"')


async def _hold_and_release(at: Office) -> None:
    await _say(at, "guard m1 per_settlement=1999")
    await at.take(report(3, at.now, txid="-1+cmd\n2"))
    await at.take(report(4, at.now))
    await _say(
        at, "settlement release s3", "settlement note s3 one", "settlement note s3 two", "guard m1 per_settlement=off"
    )
    await at.take(report(5, at.now, fiat_amount="-7.00", fiat_code="@SUM(1)"))
    await at.take(report(6, at.now), report(7, at.now), report(8, at.now))
    await _say(at, 'settlement refund s6 reason="never dispensed"')


async def _pay_and_take_back(at: Office) -> None:
    await _say(
        at, "deposit add ben 70 machine=m1 note=+1-1", "deposit confirm d3", "settle ben 10.50 machine=m1 rate=50"
    )
    await _say(at, "deposit reverse d3 reason='he said \"no\"\\'", "deposit add ana 5 machine=m1", "deposit cancel d4")
    await at.say((ANA, "mode fixed limit=30"), (OPERATOR, "fixed schedule 00:01"))
    at.now += DAY_S
    for key in at.bookkeeper.books_due(at.now):
        await at.store.writer.commit((await look_at_clock(at.bookkeeper, key, at.now)).batch)
    stated = MACHINE.seal('{"positions": {"1": {"denomination": 100, "count": 480}}}', BOT.pubkey, "nip44")
    about = [["d", f"bitspire-cassettes-state:{MACHINE.pubkey}"], ["p", BOT.pubkey]]
    await at.take(MACHINE.event(30_078, stated, tags=about, at=at.now))
    await _say(at, "cassette count m1 1=479")
