"""Sales as machines report them: the source documents' example, to be varied by a test."""

import secrets
from typing import Any

from tests.e2e.people import Person
from tests.sales import settlement

HASH = "ab" * 32


def sale(machine: Person, /, **changes: Any) -> dict[str, Any]:
    """A cash-out of 2,000 GTQ at 50 sats each, with 7.77 % on top (docs/protocol.md section 3.1), and a hash of its own."""
    return settlement(machine.pubkey, **({"payment_hash": secrets.token_hex(32)} | changes))
