"""Rules: the number that each entry names, by which it was decided and changed its book.

What lives here: the numbers, and what each of them changed. What does not: the rules themselves. Each branches on its
number in its own file and keeps the old branch, so that an entry is decided for ever as it was when it was sealed.
docs/protocol.md section 7; golden trails in tests/vectors/trails hold every number to it.

A new number is wanted when an input that could be entered before is decided otherwise, or changes a book otherwise. A
new fact, command or input is none: no entry of before can have it.
"""

FIRST = 1
# November 2026, after a review: sums are bounded, one report sets no price, a payment hash is taken by machine,
# counters start again with a key, a key's owner is judged when sats are shared out, surplus decimals are refused.
SOUND = 2

RULES = SOUND  # what is decided now


def are_known(rules: object) -> bool:
    """Return whether this program can decide by these rules. A bool or a float is no number of rules."""
    return type(rules) is int and FIRST <= rules <= RULES
