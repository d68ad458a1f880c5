"""Settlements as machines report them: reading the payload of kind 21000 into a Sale.

What lives here: the schema and its exact types. What does not: what no content may be (content.py), whether the amounts
make sense or the machine may speak (core/atm/settlements/rules.py). docs/protocol.md section 3.1. Bad content is a
Refusal(INVALID) that names the field.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nostrbot.core.atm.payloads.content import fit, invalid, read_object
from nostrbot.core.atm.states import Direction
from nostrbot.money import Decimal, Denomination, denomination_minor, minor_digits, parse_decimal, read_denomination
from nostrbot.refusals import Refusal

CONTENT_CHARS_MAX = 16 * 1024  # the journal keeps it for ever; the fullest true payload is half of this
DEPTH_MAX = 8  # the payload needs three levels; more is an attack on the reader
BILLS_MAX = 64  # kinds of banknote in one sale
CASSETTES_MAX = 64  # positions in one machine

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=256)]
# Wider than any true amount, so that an absurd one is read and then rejected by name; narrow enough that no sum of a
# few of them leaves 64 bits.
Whole = Annotated[int, Field(ge=-(2**60), le=2**60)]
FIAT_MINOR_MAX = 2**53 - 1
NoteText = Annotated[str, Field(max_length=20)]


class Banknotes(BaseModel):
    """A number of banknotes of one denomination, in whole units of the machine's fiat; half a dinar is `"0.5"`."""

    model_config = ConfigDict(strict=True, frozen=True)

    denomination: Whole | NoteText
    count: Whole


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True)

    type: Literal["settlement"]
    machine: Hex32
    n: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None
    txid: Text
    payment_hash: Hex32
    preimage: Hex32 | None = None
    tx_type: Literal["cash_out", "cash_in"]
    wire_sats: Whole
    principal_sats: Whole
    fee_sats: Whole
    fiat_amount: str | int
    fiat_code: Text
    exchange_rate: str | int
    bills: Annotated[list[Banknotes], Field(max_length=BILLS_MAX)] = []
    cassettes: Annotated[dict[Text, Banknotes], Field(max_length=CASSETTES_MAX)] = {}
    occurred_at: Annotated[int, Field(ge=0, le=2**53 - 1)]


_FIELDS = {*_Payload.model_fields, *Banknotes.model_fields}


@dataclass(frozen=True, slots=True)
class Sale:
    """One customer's sale as the machine reported it. Two sales are the same when every field is.

    Attributes:
        fiat_minor: the principal in minor units of `currency`.
        rate: sats per one unit of fiat, exact, as normalised decimal text.
        bills, cassettes: as reported, (denomination, count) and (position, denomination, count).
    """

    machine: str
    n: int | None
    txid: str
    payment_hash: str
    preimage: str | None
    direction: Direction
    wire_sats: int
    principal_sats: int
    fee_sats: int
    fiat_minor: int
    currency: str
    rate: str
    bills: tuple[tuple[Denomination, int], ...]
    cassettes: tuple[tuple[str, Denomination, int], ...]
    occurred_at: int

    @property
    def price(self) -> Decimal:
        """The rate as an exact decimal: sats per one unit of fiat."""
        price = parse_decimal(self.rate)
        assert price is not None, "a Sale is only made with a readable rate"
        return price


def read_settlement(text: str) -> Sale | Refusal:
    """Read a settlement's decrypted content. Anything unreadable is Refusal(INVALID) naming what is wrong."""
    obj = read_object(text, chars_max=CONTENT_CHARS_MAX, depth_max=DEPTH_MAX, names=_FIELDS)
    if isinstance(obj, Refusal):
        return obj
    payload = fit(_Payload, obj, _FIELDS)
    return payload if isinstance(payload, Refusal) else _sale(payload)


def _sale(payload: _Payload) -> Sale | Refusal:
    fiat = parse_decimal(str(payload.fiat_amount))
    if fiat is None:
        return invalid("fiat_amount: not a decimal number")
    places = minor_digits(payload.fiat_code)
    if fiat.places > places:
        return invalid("fiat_amount: finer than the currency's minor unit")
    fiat_minor = fiat.digits * int(10 ** (places - fiat.places))
    if abs(fiat_minor) > FIAT_MINOR_MAX:
        return invalid("fiat_amount: more money than there is")
    rate = parse_decimal(str(payload.exchange_rate))
    if rate is None:
        return invalid("exchange_rate: not a decimal number")
    worth = _read_worth(payload)
    if isinstance(worth, Refusal):
        return worth
    return Sale(
        machine=payload.machine,
        n=payload.n,
        txid=payload.txid,
        payment_hash=payload.payment_hash,
        preimage=payload.preimage,
        direction=Direction(payload.tx_type),
        wire_sats=payload.wire_sats,
        principal_sats=payload.principal_sats,
        fee_sats=payload.fee_sats,
        fiat_minor=fiat_minor,
        currency=payload.fiat_code,
        rate=str(rate),
        bills=tuple((worth[note.denomination], note.count) for note in payload.bills),
        cassettes=tuple(
            (position, worth[note.denomination], note.count) for position, note in sorted(payload.cassettes.items())
        ),
        occurred_at=payload.occurred_at,
    )


def _read_worth(payload: _Payload) -> dict[int | str, Denomination] | Refusal:
    """Return the value of each denomination in a payload; refuse one that is not a number, or too fine for the
    currency.
    """
    worth: dict[int | str, Denomination] = {}
    for where, notes in (("bills", payload.bills), ("cassettes", payload.cassettes.values())):
        for note in notes:
            value = read_denomination(note.denomination)
            if value is None:
                return invalid(f"{where}.denomination: not a decimal number")
            if denomination_minor(value, payload.fiat_code) is None:
                return invalid(f"{where}.denomination: finer than the currency's minor unit")
            worth[note.denomination] = value
    return worth
