"""Refusals: every way the bot says no to the world, by name.

What lives here: the closed list of reasons and the value that carries one. What does not: counting them
(relays/, bot.py) and answering them (messages/replies.py). A refusal is a value, never an exception: bad input is
expected. The order of the checks is docs/protocol.md section 2; the settlement reasons are section 3.1.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The reasons to refuse something that arrived. The names are the rules."""

    # What a relay sent us (docs/protocol.md section 2), in the order it is checked.
    FRAME_TOO_LARGE = "frame_too_large"
    NOT_JSON = "not_json"
    BAD_SHAPE = "bad_shape"
    WRONG_ID = "wrong_id"
    BAD_SIGNATURE = "bad_signature"
    OFF_FILTER = "off_filter"
    OWN_WORD = "own_word"  # the bot wrote it itself, with this key or one it had before
    UNKNOWN_AUTHOR = "unknown_author"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"
    UNDECRYPTABLE = "undecryptable"
    SEAL_MISMATCH = "seal_mismatch"  # a gift wrap's seal is signed by somebody else than the message in it claims
    INVALID = "invalid"
    RATE_LIMITED = "rate_limited"  # one key says more than one may
    STALE = "stale"  # a machine's newer word on the same subject is known
    DATED_AHEAD = "dated_ahead"  # by more than clocks drift: it would outrank every true word until its date
    BOOK_CLOSED = "book_closed"  # a person must look into the book first; the machine is not answered and tries again
    SET_ASIDE = "set_aside"  # our own fault: the log says what went wrong; the event had no effect

    # A settlement we could read but must not book (section 3.1), in the order it is checked.
    ATTRIBUTION_MISMATCH = "attribution_mismatch"
    MACHINE_INACTIVE = "machine_inactive"
    AMOUNTS_INCONSISTENT = "amounts_inconsistent"
    RATE_INCONSISTENT = "rate_inconsistent"
    CURRENCY_MISMATCH = "currency_mismatch"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    PREIMAGE_MISSING = "preimage_missing"
    PREIMAGE_MISMATCH = "preimage_mismatch"
    PAYMENT_HASH_CONFLICT = "payment_hash_conflict"
    FEE_MISMATCH = "fee_mismatch"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal: the rule that was broken and, for the log, what broke it (never a secret, never a plaintext)."""

    reason: Reason
    detail: str = ""
