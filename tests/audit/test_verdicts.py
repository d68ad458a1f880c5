"""Verdicts from files, as the command line gives them: exit codes, words and JSON (docs/protocol.md section 8)."""

import json
import stat
import sys
from itertools import islice
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from nostrbot.audit import verdicts
from nostrbot.audit.verdicts import TrailCase, judge_proof, judge_trail
from nostrbot.errors import ConfigError
from tests.audit import test_proof
from tests.audit.test_evidence import WATCHED
from tests.e2e.house import nostrbot_here
from tests.houses import BOT, House, letter, person

Answer = dict[str, Any]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A trail, and what people hold of it, in a folder."""
    (tmp_path / "trail.jsonl").write_bytes(b"\n".join(WATCHED.house.trail()) + b"\n")
    (tmp_path / "checkpoint.json").write_text(json.dumps(WATCHED.late))
    (tmp_path / "receipt.json").write_text(json.dumps(WATCHED.receipts["ana"]))
    for who in ("operator", "ana"):
        path = tmp_path / f"{who}.nsec"
        path.write_text(person(who).nsec())
        path.chmod(0o600)
    return tmp_path


def verify(folder: Path, *options: str, **variables: str) -> CompletedProcess[str]:
    return nostrbot_here("audit", "verify", *(option.replace("@", f"{folder}/") for option in options), **variables)


def test_everything_that_can_be_asked_at_once(files: Path) -> None:
    """Keys, a checkpoint and a receipt; what each proved is said, and no key is shown."""
    asked = ["@trail.jsonl", "--bot", BOT.npub, "--key", "@operator.nsec", "--key", "@ana.nsec"]
    asked += ["--checkpoint", "@checkpoint.json", "--receipt", "@receipt.json", "--lp", person("ana").npub]
    done = verify(files, *asked)
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert words[0] == f"Verified: the trail of antigua ({person('operator').npub}), kept by bot {BOT.npub}"
    assert words[2:-1] == [
        "14 entries: each decided again to the same facts, postings and hash.",
        "2 settlements, 59273 sats, 4 receipts.",
        "14 inputs are proven by signatures. What they said:",
        "  2 came plain, so it is signed as it stands",
        "  9 checked by the key of a party that you gave",
        "  3 on the bot's word (NIP-04, or no keys in the trail)",
        "Checkpoints that fit: 1. Bot, book, head and liabilities are this trail's.",
        "Receipts that fit: 1, of them void by now: 1.",
    ]
    for who in ("operator", "ana"):
        assert person(who).nsec() not in done.stdout + done.stderr
    as_json: Answer = json.loads(verify(files, *asked, "--json").stdout)
    assert as_json == {
        "ok": True,
        "bot": BOT.pubkey,
        "bot_now": BOT.pubkey,
        "book": person("operator").pubkey,
        "platform": person("platform").pubkey,
        "handle": "antigua",
        "entries": 14,
        "head": WATCHED.house.chain.head,
        "settlements": 2,
        "receipts": 4,
        "encrypted": 12,
        "sats_settled": 59_273,
        "signed": 14,
        "ticks": 0,
        "clocks_set": 0,
        "observations": {},
        "heard_before": 0,
        "plain": 2,
        "opened_by_keys": 0,
        "opened_by_parties": 9,
        "on_bots_word": 3,
        "checkpoints_checked": 1,
        "receipts_checked": 1,
        "receipts_voided": 1,
        "carried": [],
        "carried_count": 0,
        "aged": [],
        "aged_count": 0,
        "by_rules": {"2": 14},
        "old_rules_until": 0,
        "slots_missed": 0,
        "slot_missed_on": "",
        "numbers_missing": {},
    }


def test_stdin_is_a_trail_too(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` stands for it: a trail may come out of a pipe."""
    with (files / "trail.jsonl").open() as trail:
        monkeypatch.setattr(sys, "stdin", trail)
        done = verify(files, "-", "--json")
    assert (done.returncode, json.loads(done.stdout)["entries"]) == (0, 14)


@pytest.mark.parametrize(
    ("spoil", "options", "field"),
    [
        ("receipt.json", ["--receipt", "@receipt.json"], "receipt.sats"),
        ("checkpoint.json", ["--checkpoint", "@checkpoint.json"], "checkpoint"),
        ("", ["--receipt", "@receipt.json", "--lp", person("ben").npub], "receipt"),
        ("", ["--bot", person("other").npub], "bot"),
        ("trail.jsonl", [], "hash"),
    ],
)
def test_what_does_not_fit_is_exit_1(files: Path, spoil: str, options: list[str], field: str) -> None:
    """faults.md rows 86 and 87: an altered paper, one of another LP's, another bot's trail, an altered trail."""
    if spoil:
        text = (files / spoil).read_text()
        (files / spoil).write_text(text.replace("90000", "90001").replace('\\"sat\\":', '\\"sat\\":1'))
    done = verify(files, "@trail.jsonl", *options)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("NOT verified. First difference: ")
    as_json = json.loads(verify(files, "@trail.jsonl", *options, "--json").stdout)
    assert set(as_json) == {"ok", "entry", "field", "message"}
    assert (as_json["ok"], as_json["field"]) == (False, field)


@pytest.mark.parametrize("option", ["--key", "--checkpoint", "--receipt"])
def test_a_file_that_is_not_there_is_exit_2(files: Path, option: str) -> None:
    """A slip of the fingers is no verdict."""
    done = verify(files, "@trail.jsonl", option, "@nothing")
    assert done.returncode == 2
    assert "nothing cannot be read" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_key_that_others_may_read_is_refused(files: Path) -> None:
    """As everywhere: a key file has mode 0600, or it is no secret."""
    (files / "ana.nsec").chmod(0o640)
    assert stat.S_IMODE((files / "ana.nsec").stat().st_mode) == 0o640
    done = verify(files, "@trail.jsonl", "--key", "@ana.nsec")
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
    assert person("ana").nsec() not in done.stderr


def test_ticks_are_named_for_what_they_are(tmp_path: Path) -> None:
    """Nobody signed them: the time rests on the bot's clock."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.say("ana", "mode fixed")
    house.sell()
    house.say("operator", "fixed schedule 08:00")
    house.tick(1_790_085_600)
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"\n".join(house.trail()))
    words = judge_trail(TrailCase(path), json=False).text
    assert "Ticks: 1. Their times rest on the bot's clock." in words


def test_a_line_without_an_end_is_read_only_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded whatever the file is: what is cut is no JSON."""
    monkeypatch.setattr("nostrbot.audit.verdicts.LINE_BYTES_MAX", 1_000)
    path = tmp_path / "trail.jsonl"
    path.write_bytes(WATCHED.house.trail()[0] + b"\n" + b'{"at":' + b"1" * 5_000)
    verdict = judge_trail(TrailCase(path), json=True)
    assert not verdict.holds
    assert json.loads(verdict.text)["field"] == "line"


def test_a_folder_is_no_trail(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        judge_trail(TrailCase(tmp_path), json=False)


def test_a_proof_in_words_and_as_json(tmp_path: Path) -> None:
    """Whose, what, of what, signed by whom; and why not."""
    proof, checkpoint = tmp_path / "proof.json", tmp_path / "checkpoint.json"
    proof.write_text(json.dumps(test_proof.PROOF))
    checkpoint.write_bytes(test_proof.CHECKPOINT)
    held = judge_proof(proof, checkpoint, bot=BOT.pubkey, lp=person("ana").pubkey, json=False)
    assert held.holds
    assert held.text.splitlines()[:2] == [
        f"Proven: {person('ana').npub}",
        f"was owed 90000 sats and 7200.00 GTQ after entry {test_proof.PROOF['seq']}.",
    ]
    as_json = json.loads(judge_proof(proof, checkpoint, bot=None, lp=None, json=True).text)
    assert (as_json["ok"], as_json["balances"]) == (True, {"GTQ": "7200.00", "sat": 90_000})
    refused = judge_proof(proof, checkpoint, bot=None, lp=person("ben").pubkey, json=True)
    assert (refused.holds, json.loads(refused.text)["ok"]) == (False, False)


@pytest.mark.parametrize("field", ["seq", "rules", "\x1b[2J\x1b[1;32mVerified"])
def test_a_file_plays_no_tricks_with_the_screen(files: Path, field: str) -> None:
    """What a difference quotes was written by a stranger: it is shown escaped, and no more of it than is read."""
    lines = (files / "trail.jsonl").read_bytes().splitlines()
    entry = json.loads(lines[1]) | {field: "\x1b[2J\x1b[1;32mVerified\u202e" + "x" * 100_000}
    (files / "trail.jsonl").write_bytes(b"\n".join([lines[0], json.dumps(entry).encode()]))
    for as_json in (False, True):
        verdict = judge_trail(TrailCase(files / "trail.jsonl"), json=as_json)
        assert not verdict.holds
        assert verdict.text.isprintable()
        assert len(verdict.text) < 5_000


def test_a_closed_stdin_is_exit_2(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match="stdin is closed"):
        judge_trail(TrailCase(Path("-")), json=False)


def test_after_a_line_that_is_too_long_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a line end costs one line of memory, not one for each page that is read ahead."""
    monkeypatch.setattr(verdicts, "LINE_BYTES_MAX", 1_000)
    path = tmp_path / "endless"
    path.write_bytes(b"x" * 999 + b"\n" + b"[" * 100_000)
    with path.open("rb") as file:
        assert [len(line) for line in islice(verdicts._lines(file), 2)] == [1_000, 1_001]


def test_a_date_beyond_all_calendars_is_no_crash(tmp_path: Path) -> None:
    """Whose command is carried may have dated it as it liked; and what was obeyed too late is named in words."""
    house = House.empty()
    house.say("platform", "operator add @operator name=antigua")
    far = letter("platform", "platform fee cash_in=1% cash_out=9%", at=2**53 - 1)
    house.take(far._replace(carried=True, answered=False))
    old = house.now - 365 * 86_400
    house.take(letter("operator", "fixed limit 5", at=old)._replace(heard=old))
    trail = tmp_path / "trail.jsonl"
    trail.write_bytes(b"\n".join(house.trail()))
    done = verify(tmp_path, "@trail.jsonl")
    assert done.returncode == 0, done.stderr
    assert "Carried into entry 2: platform fee, said on 9998-12-31" in done.stdout
    assert "Obeyed in entry 3, though too old by its time: fixed limit, said on 2025-09-21 by npub1" in done.stdout
