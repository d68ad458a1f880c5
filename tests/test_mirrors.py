"""Tests mirror modules: `core/engine.py` is tested in `tests/core/test_engine.py`, so nobody has to search.

What lives here: the rule, and its exceptions with the reason of each. What does not: how much of a module its tests run
(`make coverage`). Files at the top of tests/, and those in e2e/ and fuzz/, are scenarios of the whole bot.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "nostrbot"

WHOLE_BOT = {"e2e", "fuzz"}
# Files beside modules' own that tell of several of them at once.
SCENARIOS = {
    "audit/test_golden_trails.py": "trails of every version there was, by the whole auditor",
    "audit/test_message_keys.py": "a trail and the messages' own keys",
    "audit/test_rotation.py": "a trail whose bot has two keys",
    "audit/test_observations.py": "a trail with observations, changed in each way",
    "core/payouts/test_lives.py": "lives of payouts, by hypothesis",
    "core/test_invariants.py": "lives of a house, by hypothesis",
    "core/test_whole_table.py": "lives in which every command is said, by hypothesis",
    "exports/test_command.py": "`nostrbot export`, among the homes that exports are tested with",
    "journal/test_replay.py": "the same inputs give the same bytes, core and journal together",
    "reading/test_payments.py": "a void, as every answer shows it",
    "relays/test_frame_floods.py": "frames that carry nothing, with the pool they would keep busy",
    "relays/test_hostile_relays.py": "a pool among relays that harm it",
    "relays/test_proxies.py": "connection and dialler, with proxies in the environment",
    "relays/test_real_relays.py": "a pool among relays that other people wrote",
    "relays/test_refusals.py": "a pool among relays that refuse",
}
# Modules that hold values and rows, and decide nothing: wherever they are used they are tested.
VALUES = {
    "__main__.py", "errors.py", "refusals.py", "nostr/kinds.py", "store/tables.py", "relays/words.py", "relays/limits.py",
    "core/rules.py", "core/desk.py", "core/inputs.py", "core/atm/desk.py", "core/platform/desk.py",
    "core/payouts/desk.py", "core/payouts/facts.py", "core/payouts/records.py",
    "core/atm/facts.py", "core/atm/records.py", "core/atm/recall.py", "core/atm/settlements/facts.py", "core/platform/facts.py",
    "core/commands/command.py", "core/commands/order.py", "core/commands/refused.py",
    "exports/request.py", "reading/question.py", "runtime/turn.py",
}  # fmt: skip
# Modules that are tested from one door further out, where what they do is seen.
TESTED_IN = {
    "audit/differences.py": "audit/test_verification.py",
    "audit/summary.py": "audit/test_verification.py",
    "backup/copy.py": "backup/test_restoration.py",
    "backup/manifest.py": "backup/test_container.py",
    "cli/accountants.py": "exports/test_command.py",
    "cli/auditors.py": "audit/test_verdicts.py",
    "cli/clients.py": "e2e/test_command_line.py",
    "cli/followers.py": "audit/test_monitor.py",
    "cli/rotations.py": "runtime/test_rotation.py",
    "cli/terminal.py": "cli/test_output.py",
    "client.py": "e2e/test_command_line.py",
    "core/atm/evolution.py": "core/test_book.py",
    "core/atm/settlements/evolution.py": "core/test_book.py",
    "core/evolution.py": "core/test_book.py",
    "core/platform/evolution.py": "core/test_book.py",
    "core/atm/lp_commands.py": "core/test_parsing.py",
    "core/atm/operator_commands.py": "core/test_parsing.py",
    "core/atm/platform_commands.py": "core/test_parsing.py",
    "core/platform/commands.py": "core/test_parsing.py",
    "core/commands/arguments.py": "core/test_parsing.py",
    "core/commands/handwriting.py": "core/test_parsing.py",
    "core/commands/specs.py": "core/test_desks.py",
    "core/table.py": "core/test_desks.py",
    "core/atm/payloads/content.py": "core/atm/payloads/test_sale.py",
    "core/atm/reports.py": "core/atm/settlements/test_rules.py",
    "core/atm/settlements/moves.py": "core/atm/settlements/test_worklist.py",
    "core/atm/takings.py": "reading/test_reports.py",
    "core/payouts/commands.py": "core/payouts/test_requests.py",
    "core/payouts/evolution.py": "core/payouts/test_states.py",
    "core/proofs/checkpoint.py": "core/proofs/test_liabilities.py",
    "exports/narration.py": "exports/test_beancount.py",
    "exports/rows.py": "exports/test_export.py",
    "exports/sheet.py": "exports/test_export.py",
    "exports/trail.py": "e2e/test_command_line.py",
    "messages/words/figures.py": "messages/test_replies.py",
    "messages/words/machines.py": "messages/test_replies.py",
    "messages/words/parties.py": "messages/test_replies.py",
    "messages/words/receipts.py": "messages/test_receipts.py",
    "messages/words/settlements.py": "messages/test_replies.py",
    "messages/words/trust.py": "messages/test_replies.py",
    "net/frames.py": "relays/test_frame_floods.py",
    "reading/pages.py": "reading/test_lps.py",
    "reading/proofs.py": "test_checkpoints.py",
    "relays/grouping.py": "relays/test_session.py",
    "relays/recipients/letters.py": "relays/recipients/test_courier.py",
    "relays/recipients/visit.py": "relays/recipients/test_courier.py",
    "relays/relay.py": "relays/test_pool.py",
    "runtime/carrying.py": "test_identity.py",
    "runtime/figures.py": "monitoring/test_exposition.py",
    "runtime/freed_keys.py": "test_identity.py",
    "runtime/inbox.py": "runtime/test_sequencer.py",
    "runtime/notices.py": "test_identity.py",
    "runtime/people.py": "runtime/test_bookkeeper.py",
    "runtime/presence.py": "test_bot.py",
    "runtime/sale_log.py": "runtime/test_unread_reports.py",
    "runtime/shelf.py": "runtime/test_bookkeeper.py",
    "store/checkpoints.py": "runtime/test_notary.py",
    "store/filling.py": "store/test_sums.py",
    "store/leg_sums.py": "store/test_sums.py",
    "store/lineage.py": "store/test_integrity.py",
    "store/sale_sums.py": "store/test_sums.py",
    "store/stored.py": "store/test_store.py",
    "views/json_text.py": "views/test_fitting.py",
    "views/records.py": "views/test_outcomes.py",
}
MIGRATIONS = "store/migrations/"  # tests/store/test_schema.py tries each from each

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
FILES = sorted(path.relative_to(TESTS) for path in TESTS.rglob("test_*.py"))


def mirror_of(module: Path) -> Path:
    return module.with_name(f"test_{module.name}")


def module_of(file: Path) -> Path:
    return file.with_name(file.name.removeprefix("test_"))


def unmirrored(modules: list[Path], files: list[Path]) -> list[str]:
    """The modules that have neither a file of their own nor an exception."""
    return [
        str(module)
        for module in modules
        if mirror_of(module) not in files
        and str(module) not in VALUES | TESTED_IN.keys()
        and not str(module).startswith(MIGRATIONS)
    ]


def homeless(files: list[Path], modules: list[Path]) -> list[str]:
    """The files in mirrored folders that name no module and tell of no scenario."""
    return [
        str(file)
        for file in files
        if len(file.parts) > 1
        and file.parts[0] not in WHOLE_BOT
        and module_of(file) not in modules
        and str(file) not in SCENARIOS
    ]


def test_every_module_with_rules_has_its_tests() -> None:
    """A new one brings a file, or says here where it is tested."""
    assert unmirrored(MODULES, FILES) == []


def test_every_file_of_tests_names_its_module() -> None:
    """A module that was moved takes its tests along."""
    assert homeless(FILES, MODULES) == []


def test_no_exception_outlives_its_reason() -> None:
    """A module that is gone, or has a file by now, needs none; the files that are named are there."""
    excepted = [Path(module) for module in (*VALUES, *TESTED_IN)]
    assert [str(module) for module in excepted if module not in MODULES or mirror_of(module) in FILES] == []
    assert [file for file in TESTED_IN.values() if Path(file) not in FILES] == []
    assert [file for file in SCENARIOS if Path(file) not in FILES or module_of(Path(file)) in MODULES] == []


@pytest.mark.parametrize("module", sorted(VALUES))
def test_a_module_of_values_has_no_rule(module: str) -> None:
    """It is short: whoever writes rules into it writes tests for them."""
    assert len((PACKAGE / module).read_text().splitlines()) < 300


def test_what_is_missing_is_found() -> None:
    """A module without tests, and tests without a module."""
    new = Path("core/atm/invented.py")
    assert unmirrored([*MODULES, new], FILES) == [str(new)]
    assert unmirrored([*MODULES, new], [*FILES, mirror_of(new)]) == []
    assert homeless([*FILES, mirror_of(new)], MODULES) == [str(mirror_of(new))]
    assert homeless([*FILES, Path("e2e/test_invented.py"), Path("test_invented.py")], MODULES) == []
