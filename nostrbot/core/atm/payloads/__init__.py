"""What machines say: payloads, decoded and attributed. Knows neither the ledger nor books."""
