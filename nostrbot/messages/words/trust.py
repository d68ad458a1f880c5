"""Trust words: checkpoints and proofs in sentences.

What lives here: the words of their data. What does not: the data (core/proofs/checkpoint.py) and all other words
(messages/replies.py). Nothing in them was typed freely.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nostrbot.core.ledger.accounts import SAT
from nostrbot.core.plain import View


def amounts_words(sums: Mapping[str, int | str]) -> str:
    """Return the sums owed, sats first: `90000 sats and 7200.00 GTQ`."""
    named = [f"{sums[SAT]} sats", *(f"{amount} {unit}" for unit, amount in sums.items() if unit != SAT)]
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _checkpoint(data: View) -> str:
    checkpoint = data["checkpoint"]
    return (
        f"Signed: after entry {checkpoint['seq']} your book owes its LPs {amounts_words(checkpoint['liabilities'])}.\n"
        f"Head {checkpoint['head']}\n"
        f"Checkpoint {checkpoint['id']}, for anybody to read. Your LPs say `proof`."
    )


def _proof(data: View) -> str:
    proof = data["proof"]
    return (
        f"You were owed {amounts_words(proof['balances'])} after entry {proof['seq']}, and that is part of what was "
        f"signed in checkpoint {proof['checkpoint']}.\n"
        f"Do not take my word for it: say `proof --json`, keep the answer in a file, take the checkpoint from a relay "
        f"(`nostrbot audit follow`), and let `nostrbot audit proof FILE --checkpoint FILE` compute it."
    )


TRUST_WORDS: Mapping[str, Callable[[Any], str]] = {"checkpoint": _checkpoint, "proof": _proof}
