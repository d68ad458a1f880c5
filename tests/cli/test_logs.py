"""What a log line is, in both formats, and what an error may say in it (faults.md row 90)."""

import asyncio
import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from loguru import logger

from nostrbot.cli.logs import log_loop_trouble, log_to_stderr, way_of
from nostrbot.errors import BooksError, ConfigError
from nostrbot.nostr.keys import Keys

SECRET = "5ec1e7" * 10 + "abcd"


class Terminal(io.StringIO):
    """A stderr that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_at_a_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside, no other log; at the end all is as it was."""
    for name in [name for name in os.environ if name.startswith("NOSTRBOT_") or name == "NO_COLOR"]:
        monkeypatch.delenv(name)
    yield
    logging.captureWarnings(capture=False)
    logger.remove()
    logger.add(sys.__stderr__)


def lines(told: str) -> list[dict[str, Any]]:
    """The log as a program reads it."""
    return [json.loads(line) for line in told.splitlines()]


def fail_with_a_secret() -> None:
    keys = Keys.from_secret(SECRET)
    assert keys.npub
    int(SECRET, 2)


# --- formats ----------------------------------------------------------------------------------------------------------


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """When, how bad, where, what, and what was bound to it; whatever the message holds, it stays one line."""
    log_to_stderr(log_format="json")
    logger.bind(relay="wss://a.example").warning("line one\nline {} {{}} <red>\ud800 \u2028 ü", "two")
    (line,) = lines(capsys.readouterr().err)
    assert datetime.fromisoformat(str(line.pop("time"))).timestamp() == pytest.approx(line.pop("at"), abs=0.002)
    assert isinstance(line.pop("line"), int)
    assert line == {
        "level": "WARNING",
        "module": "tests.cli.test_logs",
        "message": "line one\nline two {} <red>\ud800 \u2028 ü",
        "relay": "wss://a.example",
    }


def test_no_bound_field_passes_itself_off_as_another(capsys: pytest.CaptureFixture[str]) -> None:
    """The fields that every line has are the log's own."""
    log_to_stderr(log_format="json")
    logger.bind(level="DEBUG", message="another").error("this one")
    (line,) = lines(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("ERROR", "this one")


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, place, message; what looks like a template or markup in it stays as it is; no colours in a file."""
    log_to_stderr()
    logger.info("an {} b", "<red>{c}</red>")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| INFO     \| tests\.cli\.test_logs:\d+ - an <red>\{c\}</red> b\n",
        capsys.readouterr().err,
    )


@pytest.mark.parametrize(("log_format", "is_coloured"), [("text", True), ("json", False)])
def test_colours_are_for_a_terminal(monkeypatch: pytest.MonkeyPatch, log_format: str, is_coloured: bool) -> None:
    """And never in JSON."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    log_to_stderr(log_format=log_format)
    logger.info("here")
    assert ("\x1b[" in terminal.getvalue()) is is_coloured


@pytest.mark.parametrize(
    ("option", "variable", "is_json"), [(None, "JSON", True), ("text", "json", False), (None, "", False)]
)
def test_the_option_goes_before_the_variable(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str | None,
    variable: str,
    is_json: bool,
) -> None:
    """--log-format, else NOSTRBOT_LOG_FORMAT, else text."""
    monkeypatch.setenv("NOSTRBOT_LOG_FORMAT", variable)
    log_to_stderr(log_format=option)
    logger.info("here")
    assert capsys.readouterr().err.startswith("{") is is_json


@pytest.mark.parametrize("name", ["NOSTRBOT_LOG_FORMAT", "NOSTRBOT_LOG_LEVEL"])
def test_a_setting_there_is_not_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It names the setting and what can be set."""
    monkeypatch.setenv(name, "xml")
    with pytest.raises(ConfigError, match=rf"{name}.* must be one of \w+, \w+"):
        log_to_stderr()
    assert capsys.readouterr().err == ""


def test_the_level_is_kept_to(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """NOSTRBOT_LOG_LEVEL, in any case."""
    monkeypatch.setenv("NOSTRBOT_LOG_LEVEL", "warning")
    log_to_stderr(log_format="json")
    logger.info("no")
    logger.warning("yes")
    assert [line["message"] for line in lines(capsys.readouterr().err)] == ["yes"]


# --- errors and libraries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_of_an_error_the_way_is_told_and_not_the_words(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    """Neither its message nor a variable's value: the class, the files and the lines, also of what caused it."""
    log_to_stderr(log_format=log_format)
    try:
        try:
            fail_with_a_secret()
        except ValueError as error:
            raise KeyError(SECRET) from error
    except KeyError:
        logger.exception("set aside")
    told = capsys.readouterr().err
    assert SECRET not in told
    assert Keys.from_secret(SECRET).nsec() not in told
    for word in ("set aside", "ValueError", "KeyError", "fail_with_a_secret", "test_logs.py"):
        assert word in told
    if log_format == "json":
        assert str(lines(told)[0]["error"]).endswith("\nKeyError")


def test_our_own_errors_are_quoted() -> None:
    """Their words are written to be read, and hold no secret."""
    assert way_of(BooksError("the books do not balance")) == "BooksError: the books do not balance"


def test_what_libraries_log_is_in_the_same_format_from_warnings_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even at TRACE: below warnings they log frames, and rows as they go to the database."""
    monkeypatch.setenv("NOSTRBOT_LOG_LEVEL", "TRACE")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of the tests
    log_to_stderr(log_format="json")
    logging.getLogger("aiosqlite").debug("executing INSERT … %s", SECRET)
    logging.getLogger("websockets.client").info("< TEXT %s", SECRET)
    try:
        fail_with_a_secret()
    except ValueError:
        logging.getLogger("websockets.client").exception("data transfer failed")
    told = capsys.readouterr().err
    (line,) = lines(told)
    assert (line["module"], line["message"]) == ("websockets.client", "data transfer failed")
    assert SECRET not in told


async def test_an_error_that_nobody_waits_for_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    """asyncio would print the task with its error's words."""
    log_to_stderr(log_format="json")
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_trouble)
    loop.call_soon(fail_with_a_secret)
    await asyncio.sleep(0.01)
    (line,) = lines(capsys.readouterr().err)
    assert line["level"] == "ERROR"
    assert "fail_with_a_secret" in str(line["error"])
    assert SECRET not in str(line["error"])
