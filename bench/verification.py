"""Verification: how much of bare libsecp256k1 is left when frames are read strictly.

What lives here: the same frames through bare schnorrsig verification, nostrbot, pynostr and nostr-sdk, on one core.
What does not: sockets (end_to_end.py). A frame is what a relay sends: an EVENT message around an encrypted sale.
"""

import json
from collections.abc import Callable
from time import perf_counter

import orjson
from coincurve import GLOBAL_CONTEXT, PublicKeyXOnly
from coincurve._libsecp256k1 import lib  # what coincurve itself calls: the limit must not pay for a wrapper
from nostr_sdk import RelayMessage
from pynostr.event import Event as PynostrEvent

from bench.figures import Aim, Figure
from bench.house import House
from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.messages import EventMessage, read_message

SHARE_AIM = 0.65


def measure(*, quick: bool) -> list[Figure]:
    """Frames a second of each contender, and shares of the limit."""
    events = House(0).sales(50 if quick else 500)
    frames = [orjson.dumps(["EVENT", "settlements", event.plain()]) for event in events]
    claims = [
        (bytes.fromhex(event.sig), bytes.fromhex(event.id), PublicKeyXOnly(bytes.fromhex(event.pubkey)).public_key)
        for event in events
    ]
    contenders: dict[str, Callable[[], object]] = {
        "libsecp256k1": lambda: _verify_bare(claims),
        "nostrbot": lambda: _read_by_nostrbot(frames),
        "pynostr": lambda: _read_by_pynostr(frames),
        "nostr-sdk": lambda: _read_by_nostr_sdk(frames),
    }
    best_s = dict.fromkeys(contenders, float("inf"))
    for _ in range(1 if quick else 30):
        for name, work in contenders.items():
            started = perf_counter()
            work()
            best_s[name] = min(best_s[name], perf_counter() - started)
    rate = {name: len(frames) / seconds for name, seconds in best_s.items()}
    limit = rate["libsecp256k1"]
    return [
        Figure(f"bytes in a frame, {len(frames)} frames", sum(map(len, frames)) / len(frames), "bytes"),
        Figure("libsecp256k1 schnorrsig_verify, parsed keys: the limit", limit, "/s"),
        Figure("nostrbot: frame, strict shape, id, Schnorr", rate["nostrbot"], "/s"),
        Figure("pynostr: json, from_dict, id, verify", rate["pynostr"], "/s"),
        Figure("nostr-sdk: RelayMessage.from_json, verify", rate["nostr-sdk"], "/s"),
        Figure("nostrbot, share of the limit", rate["nostrbot"] / limit, "", Aim(SHARE_AIM)),
        Figure("pynostr, share of the limit", rate["pynostr"] / limit, ""),
        Figure("nostr-sdk, share of the limit", rate["nostr-sdk"] / limit, ""),
    ]


def _verify_bare(claims: list[tuple[bytes, bytes, object]]) -> None:
    verify, context = lib.secp256k1_schnorrsig_verify, GLOBAL_CONTEXT.ctx
    for signature, digest, pubkey in claims:
        assert verify(context, signature, digest, 32, pubkey)


def _read_by_nostrbot(frames: list[bytes]) -> None:
    for frame in frames:
        message = read_message(frame)
        assert type(message) is EventMessage
        assert type(read_event(message.obj)) is VerifiedEvent


def _read_by_pynostr(frames: list[bytes]) -> None:
    for frame in frames:
        claimed = json.loads(frame)[2]
        event = PynostrEvent.from_dict(claimed)
        assert event.verify()
        assert event.id == claimed["id"]  # from_dict() forgets the claimed id


def _read_by_nostr_sdk(frames: list[bytes]) -> None:
    for frame in frames:
        event = RelayMessage.from_json(frame.decode()).as_enum().event
        assert event.verify()
