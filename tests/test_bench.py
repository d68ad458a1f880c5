"""The benchmark is a program too: it must still run when what it measures has changed."""

import json
import subprocess
import sys
from pathlib import Path

from bench.figures import Aim
from bench.frames import FrameReader, Opcode, write_frame

ROOT = Path(__file__).parent.parent
QUICK_MAX_S = 600  # some 15 s on two idle cores


def test_every_part_runs_and_its_figures_are_written(tmp_path: Path) -> None:
    """`python -m bench --quick --json FILE` goes through all its parts and writes what it printed."""
    report = tmp_path / "figures.json"

    ran = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", str(report)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=QUICK_MAX_S,
        check=False,
    )

    assert (ran.returncode, ran.stderr.count("Traceback")) == (0, 0), ran.stderr
    parts = json.loads(report.read_text())["parts"]
    assert list(parts) == ["verification", "engine", "end_to_end", "questions", "startup", "audit", "liabilities"]
    aimed_at = {part: sum(figure["aim"] is not None for figure in figures) for part, figures in parts.items()}
    assert aimed_at == {
        "verification": 1,
        "engine": 2,
        "end_to_end": 2,
        "questions": 3,
        "startup": 2,
        "audit": 1,
        "liabilities": 1,
    }
    assert all(figure["value"] >= 0 for figures in parts.values() for figure in figures)


def test_an_unknown_part_is_named() -> None:
    """A mistyped part is bad usage: one line, exit 2."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "motor"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )

    assert ran.returncode == 2
    assert "there is no part 'motor'" in ran.stderr


def test_an_aim_is_a_floor_or_a_ceiling() -> None:
    """At least so much, or below so much."""
    assert Aim(4_000).is_met(4_000)
    assert not Aim(4_000).is_met(3_999)
    assert Aim(5, below=True).is_met(4.9)
    assert not Aim(5, below=True).is_met(5)


def test_frames_come_back_however_they_are_cut() -> None:
    """Frames of each length form, fed byte by byte, are read as they were written."""
    payloads = [b"", b"x" * 125, b"y" * 126, b"z" * 65_536]
    stream = b"".join(write_frame(payload, masked=number % 2 == 0) for number, payload in enumerate(payloads))
    reader = FrameReader()

    read = [frame for byte in stream for frame in reader.feed(bytes([byte]))]

    assert read == [(Opcode.TEXT, payload) for payload in payloads]
