"""Payouts: sats that the ledger owes leave by a rail, are held while they are on their way, and are never paid twice."""
