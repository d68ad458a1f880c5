"""Requests: what somebody wants exported, and how.

What lives here: the words of the command line. What does not: doing it (export.py).
"""

from dataclasses import dataclass
from enum import StrEnum


class ExportSubject(StrEnum):
    """The subjects of an export."""

    SETTLEMENTS = "settlements"
    LEGS = "legs"
    DEPOSITS = "deposits"


class ExportForm(StrEnum):
    """The forms of an export."""

    CSV = "csv"
    JSON = "json"
    BEANCOUNT = "beancount"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The request for an export: a ledger is whole whatever the subject. `operator` (hex): its book only."""

    subject: ExportSubject
    form: ExportForm
    operator: str | None = None
