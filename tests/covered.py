"""`python -m tests.covered figures.json`: whether the tests run as much of the package as is promised.

What lives here: the promises, and reading what `coverage json` wrote. What does not: measuring (`make coverage`). Lines and
branches are promised each: a module whose lines are all run may still have taken only one of two ways.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOMS = {"core": 95, "journal": 95, "nostr": 95}  # per cent of the room's lines, and of its branches
MODULE_MIN = 85  # per cent of lines and branches of any module together
# Modules that no measured process runs as they are run in life, and why.
EXEMPT = {
    "__main__.py": "one call, made by `python -m nostrbot` in processes that are killed",
}


class Share(NamedTuple):
    """So many of so many."""

    run: int
    of: int

    @property
    def percent(self) -> float:
        return 100 * self.run / self.of if self.of else 100.0

    def is_below(self, percent: int) -> bool:
        """Whether it is less, to the last line: 94.99 is not 95."""
        return self.run * 100 < percent * self.of


class Covered(NamedTuple):
    """What is run of a module or a room."""

    lines: Share
    branches: Share

    @property
    def both(self) -> Share:
        return Share(self.lines.run + self.branches.run, self.lines.of + self.branches.of)


def read(figures: dict[str, Any]) -> dict[str, Covered]:
    """Return what is run of each module, by its path inside the package."""
    modules = {}
    for path, measured in figures["files"].items():
        summary = measured["summary"]
        modules[path.partition("nostrbot/")[2]] = Covered(
            Share(summary["covered_lines"], summary["num_statements"]),
            Share(summary["covered_branches"], summary["num_branches"]),
        )
    return modules


def rooms(modules: dict[str, Covered]) -> dict[str, Covered]:
    """Return what is run of each room that has a promise of its own."""
    sums = {room: Counter[str]() for room in ROOMS}
    for path, covered in modules.items():
        room = path.partition("/")[0]
        if room in sums:
            sums[room].update(
                lines=covered.lines.of,
                run=covered.lines.run,
                branches=covered.branches.of,
                taken=covered.branches.run,
            )
    return {
        room: Covered(Share(sum_["run"], sum_["lines"]), Share(sum_["taken"], sum_["branches"]))
        for room, sum_ in sums.items()
    }


def findings(modules: dict[str, Covered]) -> list[str]:
    """Return the promises that are not kept, a sentence each. A room or an exempt module that is not there is one too."""
    found = [f"{path} is exempt and is not there" for path in EXEMPT if path not in modules]
    for room, covered in rooms(modules).items():
        if not covered.lines.of:
            found.append(f"nothing of {room}/ was measured")
        for what, share in (("lines", covered.lines), ("branches", covered.branches)):
            if share.is_below(ROOMS[room]):
                found.append(f"{room}/: {share.percent:.2f} % of its {what} are run, {ROOMS[room]} % are promised")
    found += [
        f"{path}: {covered.both.percent:.1f} % are run, {MODULE_MIN} % are promised"
        for path, covered in sorted(modules.items())
        if path not in EXEMPT and covered.both.is_below(MODULE_MIN)
    ]
    return found


def table(modules: dict[str, Covered]) -> str:
    """Return the rooms, and the modules that are run least, for a person."""
    rows = [(f"{room}/", covered) for room, covered in rooms(modules).items()]
    least = sorted(modules.items(), key=lambda item: (item[1].both.percent, item[0]))
    rows += [(path, covered) for path, covered in least[:20] if covered.both.run < covered.both.of]
    lines = [f"{'':40}{'lines':>9}{'branches':>10}"]
    lines += [f"{name:40}{got.lines.percent:8.2f}%{got.branches.percent:9.2f}%" for name, got in rows]
    return "\n".join(lines)


def main(path: Path) -> int:
    """Print the table and what is missing; 1 when anything is."""
    modules = read(json.loads(path.read_text()))
    print(table(modules))
    missing = findings(modules)
    for sentence in missing:
        print(sentence)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
