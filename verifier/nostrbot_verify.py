"""The verifier's command line: `nostrbot-verify trail` and `nostrbot-verify proof`.

What lives here: its arguments and exit codes. What does not: judging and words, which are nostrbot's own (nostrbot/audit/).
Exit codes: 0 it holds, 1 it does not, 2 bad usage or a file that cannot be read.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from nostrbot.audit.verdicts import TrailCase, Verdict, cores, judge_proof, judge_trail
from nostrbot.errors import ConfigError, KeyTextError
from nostrbot.nostr.identifiers import read_identifier

HOLDS, DOES_NOT, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        verdict = _judge(_parser().parse_args())
        print(verdict.text)
        sys.stdout.flush()
    except ConfigError as error:
        print(f"nostrbot-verify: {error}", file=sys.stderr)
        sys.exit(BAD_USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DOES_NOT)
    sys.exit(HOLDS if verdict.holds else DOES_NOT)


def _judge(given: argparse.Namespace) -> Verdict:
    if given.what == "proof":
        return judge_proof(given.file, given.checkpoint, bot=given.bot, lp=given.lp, json=given.json)
    case = TrailCase(
        given.file,
        bot=given.bot,
        platform=given.platform,
        lp=given.lp,
        jobs=given.jobs or cores(),
        keys=given.key,
        checkpoints=given.checkpoint,
        receipts=given.receipt,
        passphrase=os.environ.get("NOSTRBOT_KEY_PASSPHRASE") or None,
    )
    shown = sys.stderr.isatty()
    try:
        return judge_trail(case, json=given.json, progress=_show_progress if shown else None)
    finally:
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _show_progress(entries: int) -> None:
    print(f"\r{entries} entries verified", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("nostrbot-verify", description="Verify what a nostrbot promises, trusting nobody.")
    kinds = parser.add_subparsers(dest="what", required=True)
    trail = kinds.add_parser(
        "trail", help="verify a book's whole history: signatures, chain, and every decision made again"
    )
    proof = kinds.add_parser("proof", help="check that a bot's signed checkpoint includes an LP's balances")
    trail.add_argument("file", type=Path, help="the trail; - reads it from stdin")
    proof.add_argument("file", type=Path, help="file with the answer to `proof --json`")
    for one in (trail, proof):
        one.add_argument("--bot", type=_public_key, help="the npub of the bot this must come from")
        one.add_argument("--lp", type=_public_key, help="the npub of the LP the receipts or the proof must belong to")
        one.add_argument("--json", action="store_true", help="print JSON for programs")
    trail.add_argument("--platform", type=_public_key, help="the npub of the platform that must have opened the book")
    _add_files(trail, "--key", "your key file: checks messages to and from you")
    _add_files(trail, "--checkpoint", "a checkpoint's event; the trail must match it")
    _add_files(trail, "--receipt", "the answer to `receipt <leg> --json`; the trail must match it")
    trail.add_argument("--jobs", type=_jobs, help="number of processes; all cores if not given")
    proof.add_argument(
        "--checkpoint", type=Path, required=True, help="file with the checkpoint's event, as a relay sent it"
    )
    return parser


def _add_files(parser: argparse.ArgumentParser, option: str, what: str) -> None:
    parser.add_argument(option, type=Path, action="append", default=[], metavar="FILE", help=f"{what}; may be repeated")


def _public_key(text: str) -> str:
    try:
        return read_identifier(text)
    except KeyTextError as error:
        raise argparse.ArgumentTypeError(f"must be an npub or the 64 hex digits of a public key; {error}") from None


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 64):
        raise argparse.ArgumentTypeError("must be a number from 1 to 64")
    return int(text)


if __name__ == "__main__":
    main()
