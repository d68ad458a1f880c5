"""Refused commands: the code of every refusal, and the value that carries one to a person.

What lives here: the closed list of codes. What does not: why a machine's or a stranger's word is refused (refusals.py),
and how a refusal is worded as an answer (messages/replies.py). docs/protocol.md section 6.
"""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The codes of refused commands."""

    UNKNOWN_COMMAND = "unknown_command"
    BAD_QUOTING = "bad_quoting"
    MISSING_ARGUMENT = "missing_argument"
    UNKNOWN_ARGUMENT = "unknown_argument"
    BAD_ARGUMENT = "bad_argument"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    NAME_TAKEN = "name_taken"
    KEY_TAKEN = "key_taken"
    ALREADY_ENROLLED = "already_enrolled"
    LP_NOT_ONBOARDED = "lp_not_onboarded"
    WRONG_STATUS = "wrong_status"
    DEPOSIT_SPENT = "deposit_spent"
    SPLITS_NOT_WHOLE = "splits_not_whole"
    OPERATOR_SUSPENDED = "operator_suspended"
    AMBIGUOUS = "ambiguous"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    BOOK_CLOSED = "book_closed"
    OUR_FAULT = "our_fault"
    TOO_LONG = "too_long"
    TOO_MANY = "too_many"
    RATE_LIMITED = "rate_limited"
    NOT_STUCK = "not_stuck"
    ALREADY_BOOKED = "already_booked"
    ALREADY_PAID_OUT = "already_paid_out"
    NO_PRICE = "no_price"
    PRICE_UNSETTLED = "price_unsettled"
    NOT_ENOUGH_CASH = "not_enough_cash"
    NOT_ENOUGH_SATS = "not_enough_sats"
    TOO_MUCH = "too_much"


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A command that was refused: a code for programs, a sentence for people that says what to do."""

    code: Code
    message: str


SUSPENDED = CommandRefused(Code.OPERATOR_SUSPENDED, "the platform has suspended you: ask it why")


def not_yours(verb: str) -> CommandRefused:
    """Return the refusal of a command that belongs to another role."""
    return CommandRefused(Code.NOT_ALLOWED, f"`{verb}` is not yours to say: `help` shows what is")
