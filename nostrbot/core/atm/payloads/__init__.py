"""Payloads: what machines say, decoded and attributed. Knows neither the ledger nor books."""
