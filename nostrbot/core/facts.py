"""Facts: what a decision found to be so, in the words the journal keeps for ever.

What lives here: the union of all desks' facts, and their plain form. What does not: the classes (facts.py of each
desk), the input a fact was decided from (the journal keeps it beside the facts), the postings (the booking of each
desk), how they change a book (the evolution of each desk). A fact carries the whole record after the change, so that a
reply, a projection or a book can be made from it alone.
"""

from typing import Any, get_args

from nostrbot.core.atm.facts import AtmFact
from nostrbot.core.payouts.facts import PayoutFact
from nostrbot.core.plain import plain, reader
from nostrbot.core.platform.facts import ClockSetRight, PlatformFact

Fact = PlatformFact | AtmFact | PayoutFact

_READERS = {fact.name: reader(fact) for fact in get_args(Fact)}
_IS, _NOW = "is", "now"  # a name that Python keeps for itself, and ours for it


def plain_fact(fact: Fact) -> dict[str, Any]:
    """Return the fact as the journal keeps it: its fields, and its name under `fact`."""
    fields: dict[str, Any] = {**plain(fact), "fact": fact.name}
    if type(fact) is ClockSetRight:
        fields[_IS] = fields.pop(_NOW)
    return fields


def read_fact(fields: dict[str, Any]) -> Fact:
    """Read the fact that plain_fact() wrote. Raises KeyError, TypeError or ValueError on anything else."""
    if fields["fact"] == ClockSetRight.name:
        fields = {**fields, _NOW: fields[_IS]}
    fact: Fact = _READERS[fields["fact"]](fields)
    return fact
