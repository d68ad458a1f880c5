"""Wishes: what somebody wants exported, and how.

What lives here: the words of the command line. What does not: doing it (export.py).
"""

from dataclasses import dataclass
from enum import StrEnum


class ExportSubject(StrEnum):
    """What can be exported."""

    SETTLEMENTS = "settlements"
    LEGS = "legs"
    DEPOSITS = "deposits"


class ExportForm(StrEnum):
    """How it is written."""

    CSV = "csv"
    JSON = "json"
    BEANCOUNT = "beancount"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What somebody wants: a ledger is whole whatever the subject. `operator` (hex): its book only."""

    subject: ExportSubject
    form: ExportForm
    operator: str | None = None
