"""Figures: what was measured, what was aimed at, and the computer it was measured on.

What lives here: the values and how they are shown, as a table and as JSON. What does not: measuring.
"""

import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = ("coincurve", "orjson", "websockets", "uvloop", "SQLAlchemy", "pynostr", "nostr-sdk")


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be: at least `bound`, or below it."""

    bound: float
    below: bool = False

    def is_met(self, value: float) -> bool:
        """Whether a value is good enough."""
        return value < self.bound if self.below else value >= self.bound

    def __str__(self) -> str:
        return f"{'<' if self.below else '>='} {_number(self.bound)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `unit` is "" for a share; `aim` is None for what is told to explain the others."""

    name: str
    value: float
    unit: str
    aim: Aim | None = None


def machine_line() -> str:
    """The computer and the versions, in one line."""
    versions = [f"{package} {_version(package)}" for package in PACKAGES]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    parts = [_cpu_model(), f"{os.cpu_count()} cores", platform.platform(terse=True), python]
    return ", ".join([*parts, f"SQLite {sqlite3.sqlite_version}", *versions])


def show(console: Console, part: str, figures: Sequence[Figure]) -> None:
    """Print one part as a table."""
    table = Table(title=part, title_justify="left", title_style="bold")
    table.add_column("figure")
    for heading in ("value", "unit", "aim", "met"):
        table.add_column(heading, justify="right" if heading == "value" else "left")
    for figure in figures:
        aim, met = "", ""
        if figure.aim is not None:
            aim, met = str(figure.aim), "yes" if figure.aim.is_met(figure.value) else "NO"
        table.add_row(figure.name, _number(figure.value), figure.unit, aim, met)
    console.print(table)


def as_json(parts: dict[str, list[Figure]]) -> dict[str, Any]:
    """All parts as plain data."""
    return {
        "machine": machine_line(),
        "parts": {
            part: [
                asdict(figure) | {"met": figure.aim.is_met(figure.value) if figure.aim else None} for figure in figures
            ]
            for part, figures in parts.items()
        },
    }


def _number(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
