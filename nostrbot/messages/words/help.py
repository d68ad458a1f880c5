"""Help words: the table of commands as people read it, on a phone as well.

What lives here: the sentences of `help`. What does not: the table (core/table.py), which commands somebody may say
(reading/) and all other words (messages/replies.py). docs/protocol.md section 6. The fewer commands there are to show,
the more is said of each: many as an overview, a few a line each, one with all its options and an example.
"""

import re
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

from nostrbot.core.plain import View
from nostrbot.core.table import SPECS

LINES_MAX = 20  # commands shown a line each; more than that nobody reads

_OPTIONS = re.compile(r"( \[[^\]]*\])+")
_BEGIN = "To begin: `help machine add`, then `help lp add`, then `help deposit add`."
_FOOTER = (
    "`help <command>` shows its options. `preview` before a command shows what it would do; `--json` is for programs."
)


def _help(data: View) -> str:
    topic = data["help"]
    if "usage" in topic:
        example = f"\nExample: {topic['example']}" if topic["example"] else ""
        return f"{topic['usage']}\n{topic['summary']}{example}"
    rows = topic["commands"]
    if len(rows) <= LINES_MAX:
        return "\n".join([*(_line(row) for row in rows), _FOOTER])
    return "\n".join([*_overview(rows), _BEGIN, _FOOTER])


def _line(row: View) -> str:
    """Return a command without its options: `settlement list … - settlements, newest first`."""
    return f"{_OPTIONS.sub(' …', row['usage'])} - {row['summary']}"


def _overview(rows: list[View]) -> list[str]:
    """Return a line for each noun: its verbs, or its purpose if it stands alone."""
    lines = []
    for noun, group in groupby(rows, key=lambda row: row["usage"].split()[0]):
        same = list(group)
        verbs = [_verb(row).removeprefix(noun).strip() for row in same]
        lines.append(f"{noun} {', '.join(verbs)}" if all(verbs) else f"{noun} - {same[0]['summary']}")
    return lines


def _verb(row: View) -> str:
    words = row["usage"].split()
    return next(verb for verb in (" ".join(words[:2]), words[0]) if verb in SPECS)


HELP_WORDS: Mapping[str, Callable[[Any], str]] = {"help": _help}
