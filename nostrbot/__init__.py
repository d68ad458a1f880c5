"""nostrbot: settlements of Bitcoin ATMs, signed over Nostr, made into an exact and provable ledger."""
