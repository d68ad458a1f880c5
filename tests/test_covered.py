"""The bar that `make coverage` holds the tests to: a room or a module just below it is found, one just at it is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.covered import EXEMPT, Share, findings, main, read


def measured(**changes: tuple[int, int, int, int]) -> dict[str, Any]:
    """A report in which all is run but what is told otherwise: lines run, lines, branches taken, branches."""
    files = {
        "core/engine.py": (100, 100, 20, 20),
        "journal/entry.py": (100, 100, 20, 20),
        "nostr/event.py": (100, 100, 20, 20),
        "cli/bots.py": (100, 100, 20, 20),
        **dict.fromkeys(EXEMPT, (0, 5, 0, 0)),
    } | {name.replace("__", "/") + ".py": figures for name, figures in changes.items()}
    names = ("covered_lines", "num_statements", "covered_branches", "num_branches")
    return {
        "files": {
            f"nostrbot/{path}": {"summary": dict(zip(names, figures, strict=True))} for path, figures in files.items()
        }
    }


def test_all_that_is_promised_is_run() -> None:
    """Modules that are exempt may be run not at all."""
    assert findings(read(measured())) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"core__engine": (95, 100, 19, 20)}, []),
        ({"core__engine": (94, 100, 20, 20)}, ["core/: 94.00 % of its lines are run, 95 % are promised"]),
        ({"core__engine": (100, 100, 18, 20)}, ["core/: 90.00 % of its branches are run, 95 % are promised"]),
        ({"nostr__event": (9_499, 10_000, 20, 20)}, ["nostr/: 94.99 % of its lines are run, 95 % are promised"]),
        ({"cli__bots": (85, 100, 0, 0)}, []),
        ({"cli__bots": (90, 100, 11, 20)}, ["cli/bots.py: 84.2 % are run, 85 % are promised"]),
        ({"cli__bots": (0, 0, 0, 0)}, []),
    ],
)
def test_what_is_below_its_bar_is_found(changes: dict[str, tuple[int, int, int, int]], found: list[str]) -> None:
    """Lines and branches of the rooms each; of a module both together."""
    assert findings(read(measured(**changes))) == found


def test_a_room_that_was_not_measured_is_no_room_that_is_run() -> None:
    """A report of nothing, as after a wrong setting, promises nothing."""
    assert findings(read({"files": {}})) == [
        *[f"{path} is exempt and is not there" for path in EXEMPT],
        *[f"nothing of {room}/ was measured" for room in ("core", "journal", "nostr")],
    ]


def test_a_share_is_compared_to_the_last_line() -> None:
    """No float stands between 94.999 and 95."""
    assert Share(94_999, 100_000).is_below(95)
    assert not Share(95_000, 100_000).is_below(95)
    assert not Share(0, 0).is_below(95)


def test_the_command_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table, then a line each, and 1 for make."""
    report = tmp_path / "figures.json"
    report.write_text(json.dumps(measured(cli__bots=(1, 2, 0, 0))))
    assert main(report) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["lines", "branches"]
    assert told[1].split() == ["core/", "100.00%", "100.00%"]
    assert told[-1] == "cli/bots.py: 50.0 % are run, 85 % are promised"
    report.write_text(json.dumps(measured()))
    assert main(report) == 0
