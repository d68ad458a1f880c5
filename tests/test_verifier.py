"""The verifier that is installed alone: it packs what it needs, and needs neither relays nor a database (docs/audit.md)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.audit import test_proof
from tests.audit.test_verification import resealed
from tests.houses import BOT, House, person

ROOT = Path(__file__).parent.parent

# What a bot needs and an auditor must not: importing any of it fails, as where it is not installed.
FORBIDDEN = (
    "aiosqlite",
    "alembic",
    "loguru",
    "nostr_sdk",
    "rich",
    "sqlalchemy",
    "typer",
    "uvloop",
    "websockets",
    "yaml",
)
START = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FORBIDDEN!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv.pop(1))

if __name__ == "__main__":
    import nostrbot_verify
    import nostrbot

    assert nostrbot.__file__.startswith(sys.path[0]), nostrbot.__file__
    nostrbot_verify.main()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier's wheel, built from this clone and installed by itself."""
    folder = tmp_path_factory.mktemp("verifier")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, ROOT / "verifier"]
    subprocess.run(wheel, check=True)
    (built,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", built], check=True)
    (folder / "start.py").write_text(START)
    return folder


def run(installed: Path, *words: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", installed / "start.py", installed / "site", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def house() -> House:
    """Gone through most of the rules: machines, LPs, sales, corrections, fixed mode."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    house.say("ben", "mode fixed")
    house.sell()
    house.say("operator", 'settlement partial s1 fiat=1000 note="jam"')
    house.say("operator", "fixed schedule 08:00")
    house.tick(1_790_085_600)
    return house


def test_a_good_trail(installed: Path, house: House, tmp_path: Path) -> None:
    """Verified, in the words of `nostrbot audit verify`."""
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"\n".join(house.trail()))
    done = run(installed, "trail", path, "--bot", BOT.npub)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Verified: the trail of antigua (npub1")
    assert f"{len(house.entries)} entries" in done.stdout


def test_a_forged_trail(installed: Path, house: House, tmp_path: Path) -> None:
    """The first difference, by entry and field."""
    path = tmp_path / "trail.jsonl"
    seq = next(entry.seq for entry in house.entries if entry.facts[0].name == "settlement_processed")
    forged = resealed(house.trail(), seq, lambda content: content["facts"][0].update(platform_fee_sats=0))
    path.write_bytes(b"\n".join(forged))
    done = run(installed, "trail", path, "--json")
    assert done.returncode == 1, done.stderr
    difference = json.loads(done.stdout)
    assert (difference["entry"], difference["field"]) == (seq, "facts[0].platform_fee_sats")


def test_a_party_with_its_key(installed: Path, house: House, tmp_path: Path) -> None:
    """A plain key file works; one that is encrypted says what is missing."""
    path, key = tmp_path / "trail.jsonl", tmp_path / "ana.nsec"
    path.write_bytes(b"\n".join(house.trail()))
    key.write_text(person("ana").nsec())
    key.chmod(0o600)
    done = run(installed, "trail", path, "--key", key, "--json")
    assert json.loads(done.stdout)["opened_by_parties"] == 1, done.stderr
    key.write_text(
        "ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j"
    )
    command = [sys.executable, "-P", installed / "start.py", installed / "site", "trail", path, "--key", key]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"NOSTRBOT_KEY_PASSPHRASE": "x", "PATH": ""}
    )
    assert done.returncode == 2
    assert "install nostr-sdk" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_proof(installed: Path, tmp_path: Path) -> None:
    """True for whose it is, and for nobody else."""
    proof, checkpoint = tmp_path / "proof.json", tmp_path / "checkpoint.json"
    proof.write_text(json.dumps(test_proof.PROOF))
    checkpoint.write_bytes(test_proof.CHECKPOINT)
    done = run(installed, "proof", proof, "--checkpoint", checkpoint, "--lp", person("ana").npub)
    assert (done.returncode, done.stdout[:7]) == (0, "Proven:"), done.stderr
    done = run(installed, "proof", proof, "--checkpoint", checkpoint, "--lp", person("ben").npub)
    assert (done.returncode, done.stdout[:11]) == (1, "NOT proven:"), done.stderr


@pytest.mark.parametrize(
    "words",
    [[], ["trail"], ["trail", "nothing.jsonl"], ["trail", "x", "--bot", "npub1x"], ["trail", "x", "--jobs", "0"]],
)
def test_bad_usage(installed: Path, words: list[str]) -> None:
    """Exit 2, and no traceback."""
    done = run(installed, *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_it_packs_judging_and_nothing_else(installed: Path) -> None:
    """No room of the bot, of relays or of storage is in the wheel."""
    packed = {
        path.relative_to(installed / "site" / "nostrbot").parts[0] for path in (installed / "site").glob("nostrbot/*")
    }
    assert packed - {"__pycache__"} == {
        "__init__.py",
        "audit",
        "core",
        "errors.py",
        "journal",
        "messages",
        "home",
        "money.py",
        "nostr",
        "refusals.py",
        "views",
    }
    assert not (installed / "site" / "nostrbot" / "audit" / "monitor.py").exists()
