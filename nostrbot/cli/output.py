"""Output: what a command writes piece by piece, into a file or a pipe.

What lives here: a file that is whole or not there, and a word on the terminal while it takes. What does not: what is
written (audit/, exports/).
"""

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path

from nostrbot.errors import ConfigError, file_trouble


async def write_out(pieces: AsyncGenerator[bytes, None], path: Path | None) -> None:
    """Write all pieces to a file, or to stdout. Raises ConfigError if the file cannot be written.

    A file is written beside its place and moved there when it is complete; one of that name is replaced. A device or a
    pipe (`/dev/stdout`, `/dev/null`) is written to as it is.
    """
    if path is not None and _is_stdout(path):
        path = None
    async with aclosing(pieces):
        counted = _counted(pieces) if _is_watched(path) else pieces
        if path is None:
            async for piece in counted:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()  # OSError: told by whoever runs the command (cli/)
            return
        try:
            await _write_file(counted, *_place_of(path))
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {file_trouble(error)}") from None


def _is_stdout(path: Path) -> bool:
    """Whether a path is another name of stdout's target: the two must not overwrite each other."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def _place_of(path: Path) -> tuple[Path, bool]:
    """Return where a file is to be, links followed, and whether something is there that must not be replaced."""
    place = path.resolve()
    return place, place.exists() and not place.is_file()


async def _write_file(pieces: AsyncIterator[bytes], place: Path, is_device: bool) -> None:
    if is_device:
        with place.open("wb") as device:
            async for piece in pieces:
                device.write(piece)
        return
    partial = place.with_name(place.name + ".partial")
    try:
        with partial.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
        partial.replace(place)
    finally:
        with suppress(OSError):  # the trouble that it was left for is told already
            partial.unlink(missing_ok=True)


def _is_watched(path: Path | None) -> bool:
    """Whether somebody looks at a terminal that is not itself the output."""
    return sys.stderr.isatty() and (path is not None or not sys.stdout.isatty())


async def _counted(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Show progress on the terminal; the line disappears at the end."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} written"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        async for piece in pieces:
            yield piece
            progress.advance(task)
