"""Logs: lines on stderr, for people or for programs.

What lives here: the two forms of a line, and what an error may say in it. What does not: what is logged, and when.

An error's own words may hold what it stumbled over: a private message, a part of a key (faults.md row 90). So of an
error that is not ours a log has the class and the way it came about, never the words and never the values of variables.
"""

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from loguru import logger

from nostrbot.errors import ConfigError, NostrbotError

LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("text", "json")
_TEXT = (
    "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> | <level>{level: <8}</level> | <cyan>{name}</cyan>:<cyan>{line}</cyan>"
    " - <level>{message}</level>\n"
)
_COLOURS_IF_WANTED, _NO_COLOURS = None, False  # as loguru takes them: on a terminal, NO_COLOR is respected


def log_to_stderr(default_level: str = "INFO", log_format: str | None = None) -> None:
    """Log to stderr from NOSTRBOT_LOG_LEVEL on, in the format given or NOSTRBOT_LOG_FORMAT. Raises ConfigError for
    others.
    """
    level = os.environ.get("NOSTRBOT_LOG_LEVEL", default_level).upper()
    if level not in LEVELS:
        raise ConfigError(f"NOSTRBOT_LOG_LEVEL must be one of {', '.join(LEVELS)}")
    chosen = (log_format or os.environ.get("NOSTRBOT_LOG_FORMAT") or "text").lower()
    if chosen not in FORMATS:
        raise ConfigError(f"the log format (--log-format, NOSTRBOT_LOG_FORMAT) must be one of {', '.join(FORMATS)}")
    logger.remove()
    logger.add(
        sys.stderr,
        level=level,
        format=_json_line if chosen == "json" else _text_line,
        colorize=_COLOURS_IF_WANTED if chosen == "text" and sys.stderr.isatty() else _NO_COLOURS,
        diagnose=False,
        backtrace=False,
    )
    # Libraries write to the standard log. Below warnings they write what passes through them: frames, rows of the
    # database.
    logging.basicConfig(handlers=[_Forwarding()], level=logging.WARNING)
    logging.captureWarnings(capture=True)


def log_loop_trouble(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log an event loop's error that nobody waits for, as a line of ours, without the task's repr."""
    logger.opt(exception=context.get("exception")).error("{}", context["message"])


def way_of(error: BaseException) -> str:
    """Return how an error came about, the cause first. Only our own errors, whose words are safe, are quoted."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{way_of(cause)}\nand so:\n" if cause is not None else ""
    frames = "".join(traceback.format_tb(error.__traceback__))
    words = f": {error}" if isinstance(error, NostrbotError) else ""
    return f"{before}{frames}{type(error).__qualname__}{words}"


class _Forwarding(logging.Handler):
    """A handler that forwards libraries' log records into our log."""

    def emit(self, record: logging.LogRecord) -> None:
        def name(ours: Any) -> None:
            ours.update(name=record.name, line=record.lineno)

        error = record.exc_info[1] if record.exc_info else None
        logger.patch(name).opt(exception=error).log(record.levelname, "{}", record.getMessage())


def _text_line(record: Any) -> str:
    """Return a line for people, as a template that loguru fills in."""
    error = _error(record)
    if error is None:
        return _TEXT
    record["extra"]["error"] = way_of(error)
    return _TEXT + "{extra[error]}\n"


def _json_line(record: Any) -> str:
    """Return a line for programs: one object, whatever the message holds."""
    error = _error(record)
    line = {
        **record["extra"],
        "at": record["time"].timestamp(),
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "module": record["name"],
        "line": record["line"],
        "message": record["message"],
        **({} if error is None else {"error": way_of(error)}),
    }
    record["extra"]["json"] = json.dumps(line, default=str)
    return "{extra[json]}\n"


def _error(record: Any) -> BaseException | None:
    return None if record["exception"] is None else record["exception"].value
