"""The journal: sealed entries in a hash chain, and the trail file an auditor reads."""
