"""The demo: what a newcomer sees in the first minute, run as they run it."""

import re
import subprocess
import sys


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nostrbot", "demo", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_demo_shows_each_thing_it_promises() -> None:
    """An answer, a split, a decrypted receipt, a forgery refused by its reason, exact sums, a verified trail."""
    shown = run_demo("--machines", "2", "--lps", "2", "--settlements", "3", "--seed", "7")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Enrolled m1: GTQ, fees 5% in, 6.27% out, active" in shown.stdout
    assert '"status":"processed","settlement":"s1"' in shown.stdout
    assert re.search(r"You received \d+ sats for \d+\.\d\d GTQ \(50 sats per GTQ\) at m1, antigua\.", shown.stdout)
    assert "rejected: attribution_mismatch" in shown.stdout
    assert re.search(r"3 sales brought (\d+) sats; their parts sum to \1: exact", shown.stdout)
    assert re.search(
        r"The trail's \d+ signed, hash-chained entries were decided again from nothing: verified", shown.stdout
    )
    assert "\x1b[" not in shown.stdout, "colours are for terminals"


def test_the_same_seed_tells_the_same_story() -> None:
    """Keys, deposits and sales follow from the seed; only times and ids of encrypted messages differ."""
    first, again = (run_demo("--lps", "1", "--settlements", "1", "--seed", "3") for _ in range(2))

    def split_table(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("│")]

    assert split_table(first.stdout) == split_table(again.stdout) != []


def test_an_impossible_wish_is_one_line_and_exit_2() -> None:
    """Bad usage says what to change."""
    refused = run_demo("--lps", "0")

    assert refused.returncode == 2
    assert refused.stderr.startswith("nostrbot: ")
    assert len(refused.stderr.splitlines()) == 1
