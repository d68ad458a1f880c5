"""Double entry: accounts, postings, transactions that balance or do not exist."""
