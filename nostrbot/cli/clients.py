"""Commands of those who talk to a bot: `dm` as a person, `machine settle` as a machine.

What lives here: their arguments and exit codes. What does not: the other side of the wire (client.py).
docs/protocol.md section 8.
"""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from nostrbot.cli.logs import log_to_stderr
from nostrbot.cli.terminal import (
    DONE,
    NO,
    NOBODY,
    KeyOption,
    RelayOption,
    complain,
    passphrase,
    public_key,
    run_until_done,
)
from nostrbot.errors import ConfigError, file_trouble
from nostrbot.home.keyfile import read_key_file
from nostrbot.nostr.identifiers import SECRET
from nostrbot.nostr.sealing import TEXT_MAX_BYTES, Scheme

app = typer.Typer()
machine = typer.Typer(help="Act as a machine.", no_args_is_help=True)
app.add_typer(machine, name="machine")

SchemeOption = Annotated[
    Scheme, typer.Option("--scheme", help="How to encrypt; the bot may refuse plain.", case_sensitive=False)
]


@app.command()
def dm(
    command: Annotated[str, typer.Argument(help="The command, in quotes.")],
    key: KeyOption,
    to: Annotated[str, typer.Option("--to", help="The bot's npub.")],
    relay: RelayOption,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the answer.", min=0.1)] = 10.0,
    scheme: SchemeOption = Scheme.NIP04,
) -> int:
    """Send one command to a bot, as an operator or LP, and print its answer.

    Example: nostrbot dm --key ana.nsec --to npub1… --relay wss://relay.example.com "balance --json"
    """
    from nostrbot.client import Client
    from nostrbot.messages.replies import is_refusal

    log_to_stderr("ERROR")
    keys, bot = read_key_file(key, passphrase()), public_key("--to", to)
    if scheme is Scheme.PLAIN:
        raise ConfigError("--scheme must be nip04, nip44 or nip17: a bot takes no command that anyone could read")

    if SECRET.search(command):
        raise ConfigError("there is a secret key in the command, and it was not sent: say the npub")

    async def ask() -> int:
        async with Client(keys, bot, relay) as client:
            answer = await client.ask(command, scheme=scheme, timeout_s=timeout)
        if answer is None:
            complain(f"no answer within {timeout:g} s: is the bot running, on this relay, and does it know you?")
            return NOBODY
        print(answer)
        return NO if is_refusal(answer) else DONE

    return run_until_done(ask())


@machine.command("settle")
def machine_settle(
    key: KeyOption,
    bot: Annotated[str, typer.Option("--bot", help="The bot's npub.")],
    relay: RelayOption,
    payload: Annotated[Path, typer.Option("--payload", help="File with the settlement's JSON, sent unchanged.")],
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the ack.", min=0.1)] = 30.0,
    scheme: SchemeOption = Scheme.NIP44,
) -> int:
    """Publish one settlement as a machine would, repeat it until the bot acknowledges it, print the ack.

    Example: nostrbot machine settle --key m1.nsec --bot npub1… --relay wss://relay.example.com --payload sale.json
    """
    from nostrbot.client import Client

    log_to_stderr("ERROR")
    keys, pubkey = read_key_file(key, passphrase()), public_key("--bot", bot)
    if scheme is Scheme.NIP17:
        raise ConfigError("--scheme nip17 is for people's messages: a machine takes nip44, nip04 or plain")
    try:
        with payload.open(encoding="utf-8") as file:
            text = file.read(TEXT_MAX_BYTES + 1)  # more than that is not sent, so it need not be read
    except OSError as error:
        raise ConfigError(f"{payload} cannot be read: {file_trouble(error)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{payload} cannot be read: it is not UTF-8") from None

    async def settle() -> int:
        async with Client(keys, pubkey, relay) as client:
            ack = await client.settle(text, scheme=scheme, timeout_s=timeout)
        if ack is None:
            complain(f"no ack within {timeout:g} s: is the bot running, on this relay, and does it know this machine?")
            return NOBODY
        print(ack)
        return NO if json_module.loads(ack)["status"] in ("rejected", "invalid") else DONE

    return run_until_done(settle())
