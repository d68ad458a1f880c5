"""The sale that every test varies: the example of docs/protocol.md section 3.1, as a machine publishes it.

What lives here: its payload. What does not: whose machine it is and how it is signed (tests/houses.py, tests/signers.py,
tests/e2e/people.py). The simulator makes its own, whose amounts are drawn.
"""

from typing import Any


def settlement(machine: str, /, **changes: Any) -> dict[str, Any]:
    """Return a cash-out of 2,000 GTQ at 50 sats each and 7.77 % on top, by the machine with this key, with changes."""
    return {
        "type": "settlement",
        "machine": machine,
        "n": 42,
        "txid": "b0c2",
        "payment_hash": "",
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
