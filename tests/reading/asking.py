"""Asking: a question put to an office, and sales of any size, at local times."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.offices import MACHINE, Office, command, report
from tests.signers import Plain, Signer

HERE = ZoneInfo("America/Guatemala")  # where the operator is


def moment(text: str) -> int:
    """A local time of the operator as unix seconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=HERE).timestamp())


def small_sale(number: int, now: int, fiat: int = 20, machine: Signer = MACHINE, **changes: Any) -> Plain:
    """A machine's n-th sale, of so much fiat at 50 sats a unit and 7.77 %."""
    principal = fiat * 50
    fee = principal * 777 // 10_000
    amounts = {"principal_sats": principal, "fee_sats": fee, "wire_sats": principal + fee}
    return report(number, now, machine=machine, **amounts | {"fiat_amount": f"{fiat}.00"} | changes)


async def asked(at: Office, who: Signer, words: str) -> Any:
    """The data of an answer, or the refusal."""
    turn = await at.take(command(who, words, at.now))
    ((question, _),) = turn.questions
    return await at.bookkeeper.reading.answer(question)
