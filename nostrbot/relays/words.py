"""Words of relays: what a stranger says, made fit to be shown.

What lives here: cutting it and taking out what plays tricks with a screen. What does not: what it means (session.py).
"""

import re
from typing import Final
from unicodedata import category

WORDS_MAX: Final = 200


def plain_words(text: str) -> str:
    """Return one line of at most WORDS_MAX characters, without control, format and private characters."""
    shown = "".join(" " if category(one)[0] in "CZ" else one for one in text[: 4 * WORDS_MAX])
    line = " ".join(shown.split())
    return line if len(line) <= WORDS_MAX else line[: WORDS_MAX - 1] + "…"


def names_id(words: str, subscription_id: str) -> bool:
    """Whether a subscription id stands in the words as a separate word."""
    return re.search(rf"(?<![\w/-]){re.escape(subscription_id)}(?![\w/-])", words) is not None
