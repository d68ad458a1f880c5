"""Sales as machines report them: the source documents' example, to be varied by a test."""

import secrets
from typing import Any

from tests.e2e.people import Person

HASH = "ab" * 32


def sale(machine: Person, /, **changes: Any) -> dict[str, Any]:
    """A cash-out of 2,000 GTQ at 50 sats each, with 7.77 % on top (docs/protocol.md section 3.1), and a hash of its own."""
    return {
        "type": "settlement",
        "machine": machine.pubkey,
        "n": 42,
        "txid": "b0c2",
        "payment_hash": secrets.token_hex(32),
        "tx_type": "cash_out",
        "wire_sats": 107_770,
        "principal_sats": 100_000,
        "fee_sats": 7_770,
        "fiat_amount": "2000.00",
        "fiat_code": "GTQ",
        "exchange_rate": "50",
        "bills": [{"denomination": 100, "count": 20}],
        "cassettes": {"1": {"denomination": 100, "count": 480}},
        "occurred_at": 1_790_000_000,
        **changes,
    }
