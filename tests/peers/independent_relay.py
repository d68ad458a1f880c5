"""PyPI nostr-relay 1.14: a relay written by other people, run as a process with an environment and a HOME of its own.

Where it differs from LocalRelay, it tests us: it stores ephemeral events and replays them, answers a rejected event
with an OK for the id "", says OK false "duplicate: exists" to a known event, and ignores garbage in silence.

Install it with tests/relay-requirements.lock into .cache/relay-venv, or name its python in NOSTRBOT_TEST_RELAY_PYTHON.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from tests.peers.ports import free_port

# A cold start imports some forty packages and migrates its database.
START_MAX_S = 30.0


def relay_python() -> Path | None:
    """The interpreter that has nostr-relay, or None where it is not installed."""
    root = Path(__file__).resolve().parents[2]
    named = os.environ.get("NOSTRBOT_TEST_RELAY_PYTHON")
    python = Path(named) if named else root / ".cache" / "relay-venv" / "bin" / "python"
    return python if python.exists() else None


def _write_config(home: Path, port: int) -> Path:
    config = {
        "DEBUG": False,
        "storage": {
            "sqlalchemy.url": f"sqlite+aiosqlite:///{home / 'relay.sqlite3'}",
            "num_concurrent_reqs": 10,
            "num_concurrent_adds": 2,
            "validators": [
                "nostr_relay.validators.is_not_too_large",
                "nostr_relay.validators.is_signed",
                "nostr_relay.validators.is_recent",
            ],
        },
        "gunicorn": {"bind": f"127.0.0.1:{port}", "workers": 1, "loglevel": "warning", "reload": False},
        "max_event_size": 65_536,
        "oldest_event": 315_360_000,
        "max_limit": 500,
        "subscription_limit": 32,
    }
    path = home / "relay.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


async def _wait_listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_MAX_S):
        while True:
            try:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError as error:
                if process.returncode is not None:
                    raise RuntimeError(log.read_text()[-2000:]) from error
                await asyncio.sleep(0.1)
            else:
                writer.close()
                await writer.wait_closed()
                return


@asynccontextmanager
async def independent_relay(python: Path, home: Path) -> AsyncIterator[str]:
    """Runs the relay with `home` as its HOME and gives its url; the process is gone afterwards."""
    port = free_port()
    config = _write_config(home, port)
    log = home / "relay.log"
    arguments = [str(python), "-c", "from nostr_relay.cli import main; main()", "-c", str(config), "serve"]
    environment = {"HOME": str(home), "PATH": f"{python.parent}:{os.environ.get('PATH', '')}", "LANG": "C.UTF-8"}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=home, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await _wait_listening(port, process, log)
        yield f"ws://127.0.0.1:{port}"
    finally:
        # Its worker too, and at once: asked politely it takes 2 s, and nothing it stores is of use any more.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
