"""Output: what a command writes piece by piece, into a file or a pipe.

What lives here: a file that is whole or not there, and a word on the terminal while it takes. What does not: what is
written (audit.py, exports/).
"""

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

from nostrbot.errors import ConfigError


async def write_out(pieces: AsyncGenerator[bytes, None], path: Path | None) -> None:
    """Write all pieces to a file, or to stdout. Raises ConfigError when the file cannot be written.

    A file is written beside its place and moved there when it is complete; one of that name is replaced.
    """
    async with aclosing(pieces):
        counted = _counted(pieces) if _is_watched(path) else pieces
        if path is None:
            async for piece in counted:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                async for piece in counted:
                    file.write(piece)
            partial.replace(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
        finally:
            partial.unlink(missing_ok=True)


def _is_watched(path: Path | None) -> bool:
    """Whether somebody looks at a terminal that does not get the output itself."""
    return sys.stderr.isatty() and (path is not None or not sys.stdout.isatty())


async def _counted(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Show on the terminal how far it has come; the line is gone at the end."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} written"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        async for piece in pieces:
            yield piece
            progress.advance(task)
