"""The mailroom: what every kind of event comes to, whoever sends it; and that nothing that arrives makes it stumble."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.book import Book
from nostrbot.core.commands.command import Command
from nostrbot.core.directory import Directory
from nostrbot.nostr.event import VerifiedEvent, event_id, sign_event
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.refusals import Reason, Refusal
from nostrbot.runtime.intake import Intake, Opened
from tests.effort import examples
from tests.houses import BOT, DAWN, House, person, sale
from tests.offices import BOT as DESK_BOT
from tests.offices import MACHINE, OPERATOR, office
from tests.signers import Plain

MACHINE_KEY = person("m1").pubkey
DM, SEAL, CHAT, WRAP, REPORT, STATE, TELEMETRY = 4, 13, 14, 1_059, 21_000, 30_078, 30_079
BEACON, CASSETTES = f"bitspire-beacon:{MACHINE_KEY}", f"bitspire-cassettes-state:{MACHINE_KEY}"
WORDS = f"bitspire-telemetry:{MACHINE_KEY}"


class CountingEnvelope(Envelope):
    """An envelope that notes with whom it came to agree on a key that it goes on remembering."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(keys)
        self.opened_for: list[str] = []

    def open_from(self, pubkey: str, content: str) -> tuple[str, Scheme] | Refusal:
        self.opened_for.append(pubkey)
        return super().open_from(pubkey, content)


@pytest.fixture(scope="module")
def book() -> Book:
    house = House.open()
    house.add_lp("ana", "9000")
    house.say("operator", "machine suspend m1")
    return house.book


@pytest.fixture
def envelope() -> CountingEnvelope:
    return CountingEnvelope(BOT)


def opened(book: Book, envelope: Envelope, event: VerifiedEvent, at: int = DAWN) -> Opened | Refusal:
    return Intake(envelope, BOT.pubkey).open(event, Directory([book]), at)


def made(who: str, kind: int, text: str, *tags: list[str], scheme: Scheme = Scheme.NIP44) -> VerifiedEvent:
    """An event to the bot, encrypted."""
    content = Envelope(person(who)).seal_to(BOT.pubkey, text, scheme, b"a")
    return sign_event(person(who), kind=kind, tags=[["p", BOT.pubkey], *tags], content=content, created_at=DAWN)


def rumor_of(who: str, **changes: Any) -> Plain:
    fields = {"pubkey": person(who).pubkey, "created_at": DAWN, "kind": CHAT, "tags": [["p", BOT.pubkey]]}
    rumor = {**fields, "content": "balance"} | changes
    return {"id": event_id(*(rumor[name] for name in ("pubkey", "created_at", "kind", "tags", "content")))} | rumor


def wrapped(
    inner: bytes | VerifiedEvent,
    *tags: list[str],
    seal_by: str = "ana",
    wrap_by: str = "anybody",
    seal_tags: list[list[str]] | None = None,
) -> VerifiedEvent:
    """Something in a gift wrap: a whole seal, or a text that is sealed first."""
    if isinstance(inner, bytes):
        sealed = Envelope(person(seal_by)).seal_to(BOT.pubkey, inner.decode(), Scheme.NIP44, b"s")
        inner = sign_event(person(seal_by), kind=SEAL, tags=seal_tags or [], content=sealed, created_at=DAWN)
    return made(wrap_by, WRAP, orjson.dumps(inner.plain()).decode(), *tags)


# --- every kind by every author ------------------------------------------------------------------------------------

FLEET = {"platform": "person", "operator": "person", "ana": "person", "m1": "machine", "stranger": "nobody"}
SENT: dict[str, Any] = {
    "command": lambda who: made(who, DM, "balance", scheme=Scheme.NIP04),
    "private": lambda who: wrapped(orjson.dumps(rumor_of(who)), seal_by=who),
    "report": lambda who: made(who, REPORT, orjson.dumps(sale()).decode()),
    "beacon": lambda who: made(who, STATE, "{}", ["d", f"bitspire-beacon:{person(who).pubkey}"]),
    "cassettes": lambda who: made(who, STATE, "{}", ["d", f"bitspire-cassettes-state:{person(who).pubkey}"]),
    "telemetry": lambda who: made(who, TELEMETRY, "{}", ["d", f"bitspire-telemetry:{person(who).pubkey}"]),
}
TAKEN_AS = {
    "command": Command,
    "private": Command,
    "report": Sale,
    "beacon": Subject,
    "cassettes": Subject,
    "telemetry": Subject,
}


@pytest.mark.parametrize("who", FLEET)
@pytest.mark.parametrize("what", SENT)
def test_who_may_send_what(book: Book, envelope: CountingEnvelope, who: str, what: str) -> None:
    """Anyone with a role may write; only a machine's key, suspended or not, speaks as a machine; strangers do neither."""
    one = opened(book, envelope, SENT[what](who))
    is_message = what in ("command", "private")
    may = FLEET[who] != "nobody" if is_message else FLEET[who] == "machine"
    if may:
        assert isinstance(one, Opened), one
        assert isinstance(one.said, TAKEN_AS[what])
        assert one.given.author == person(who).pubkey
    else:
        assert one == Refusal(Reason.UNKNOWN_AUTHOR)
        assert envelope.opened_for == []  # of a stranger nothing but the wrap is opened, and nothing is remembered


def test_whoever_wraps_is_no_matter(book: Book, envelope: CountingEnvelope) -> None:
    """A stranger may put an LP's seal in a wrap, an LP may wrap a stranger's: who sealed it wrote it."""
    lps = opened(book, envelope, wrapped(orjson.dumps(rumor_of("ana")), seal_by="ana", wrap_by="stranger"))
    assert isinstance(lps, Opened)
    assert lps.given.author == person("ana").pubkey
    strangers = opened(book, envelope, wrapped(orjson.dumps(rumor_of("stranger")), seal_by="stranger", wrap_by="ana"))
    assert strangers == Refusal(Reason.UNKNOWN_AUTHOR)


def test_one_message_has_one_id_however_it_is_wrapped(book: Book, envelope: CountingEnvelope) -> None:
    """The id by which it has one effect is the rumor's; that of the wrap and of the seal are others each time."""
    wraps = [
        make_wrap(person("ana"), Envelope(person("ana")), to=BOT.pubkey, text="pause", at=DAWN, name=name)
        for name in (b"1", b"2")
    ]
    ones = [opened(book, envelope, wrap) for wrap in wraps]
    assert all(isinstance(one, Opened) for one in ones)
    assert len({wrap.id for wrap in wraps}) == 2
    assert len({one.given.event.id for one in ones if isinstance(one, Opened)}) == 2
    assert len({one.given.id for one in ones if isinstance(one, Opened)}) == 1


# --- what is not taken ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 1, 3, 5, SEAL, CHAT, 15, 1_060, 10_002, 21_001, 22_242, 30_023])
@pytest.mark.parametrize("who", ["operator", "m1"])
def test_no_other_kind_is_a_message(book: Book, envelope: CountingEnvelope, who: str, kind: int) -> None:
    """A bare seal least of all: under its own id a message in it would have a second effect."""
    one = opened(book, envelope, made(who, kind, "deposit add ana 5 machine=m1"))
    assert one == Refusal(Reason.OFF_FILTER, f"kind {kind}")
    assert envelope.opened_for == []


@pytest.mark.parametrize(
    ("rumor", "reason"),
    [
        (rumor_of("operator"), Reason.SEAL_MISMATCH),
        (rumor_of("ana", kind=DM), Reason.OFF_FILTER),
        (rumor_of("ana", kind=REPORT), Reason.OFF_FILTER),
        (rumor_of("ana", kind=7), Reason.OFF_FILTER),
        (rumor_of("ana", tags=[]), Reason.OFF_FILTER),
        (rumor_of("ana", tags=[["p", person("ben").pubkey]]), Reason.OFF_FILTER),
        (rumor_of("ana") | {"id": "00" * 32}, Reason.WRONG_ID),
        (rumor_of("ana") | {"created_at": 1.5}, Reason.BAD_SHAPE),
        ([], Reason.BAD_SHAPE),
        ("pause", Reason.BAD_SHAPE),
    ],
)
def test_a_rumor_that_is_no_message_of_its_seals_author_to_us(
    book: Book, envelope: CountingEnvelope, rumor: Any, reason: Reason
) -> None:
    """Another author's, another kind, to somebody else, an id it has not, no rumor at all."""
    refused = opened(book, envelope, wrapped(orjson.dumps(rumor)))
    assert isinstance(refused, Refusal)
    assert refused.reason is reason


def test_a_wrap_around_something_else(book: Book, envelope: CountingEnvelope) -> None:
    """A message that is signed outright, a wrap in a wrap, a seal whose signature is not true."""
    direct = made("ana", DM, "pause", scheme=Scheme.NIP04)
    twice = wrapped(orjson.dumps(rumor_of("ana")))
    for inner in (direct, twice):
        refused = opened(book, envelope, wrapped(inner))
        assert refused == Refusal(Reason.BAD_SHAPE, "a gift wrap without a seal")
    plain = sign_event(person("ana"), kind=SEAL, tags=[], content="x", created_at=DAWN).plain() | {"sig": "0" * 128}
    assert opened(book, envelope, made("anybody", WRAP, orjson.dumps(plain).decode())) == Refusal(Reason.BAD_SIGNATURE)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"kind":13}'])
def test_a_seal_that_is_not_encrypted_for_us(book: Book, envelope: CountingEnvelope, content: bytes) -> None:
    """Its content must be NIP-44: plain text would say something its author never encrypted to us."""
    seal = sign_event(person("ana"), kind=SEAL, tags=[], content=content.decode(), created_at=DAWN)
    refused = opened(book, envelope, wrapped(seal))
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.UNDECRYPTABLE


@pytest.mark.parametrize(("expires_at", "is_taken"), [(DAWN + 1, True), (DAWN, False), (1, False)])
@pytest.mark.parametrize("what", ["command", "private", "private, its seal", "private, its rumor", "report", "beacon"])
def test_f14_what_has_expired(
    book: Book, envelope: CountingEnvelope, what: str, expires_at: int, *, is_taken: bool
) -> None:
    """NIP-40: from that second on it is not obeyed; of a gift wrap any layer says so, for anybody may wrap a seal anew."""
    tag = ["expiration", str(expires_at)]
    events = {
        "command": lambda: made("ana", DM, "balance", tag, scheme=Scheme.NIP04),
        "private": lambda: wrapped(orjson.dumps(rumor_of("ana")), tag),
        "private, its seal": lambda: wrapped(orjson.dumps(rumor_of("ana")), seal_tags=[tag]),
        "private, its rumor": lambda: wrapped(orjson.dumps(rumor_of("ana", tags=[["p", BOT.pubkey], tag]))),
        "report": lambda: made("m1", REPORT, orjson.dumps(sale()).decode(), tag),
        "beacon": lambda: made("m1", STATE, "{}", ["d", BEACON], tag),
    }
    one = opened(book, envelope, events[what]())
    assert isinstance(one, Opened) if is_taken else one == Refusal(Reason.EXPIRED)


@pytest.mark.parametrize("said", [[], [""], ["-1"], ["soon"], ["1.0"], [" 1"], ["9" * 17], ["²"]])
@pytest.mark.parametrize("layer", ["wrap", "seal", "rumor"])
def test_f14_an_expiration_that_is_no_moment_says_nothing(
    book: Book, envelope: CountingEnvelope, layer: str, said: list[str]
) -> None:
    """On whatever layer. Beside a moment that has passed it changes nothing either."""
    tags = [["expiration", *said]]

    def private(*more: list[str]) -> VerifiedEvent:
        on = {name: [*tags, *more] if name == layer else [] for name in ("wrap", "seal", "rumor")}
        rumor = rumor_of("ana", tags=[["p", BOT.pubkey], *on["rumor"]])
        return wrapped(orjson.dumps(rumor), *on["wrap"], seal_tags=on["seal"])

    assert isinstance(opened(book, envelope, private()), Opened)
    expired = private(["expiration", str(DAWN + 1)], ["expiration", "1"])
    assert opened(book, envelope, expired) == Refusal(Reason.EXPIRED)


def test_what_cannot_be_decrypted(book: Book, envelope: CountingEnvelope) -> None:
    """A settlement is answered, for its machine would say it for ever; all else is dropped."""
    for kind, who, tags in ((DM, "ana", []), (STATE, "m1", [["d", CASSETTES]]), (TELEMETRY, "m1", [["d", WORDS]])):
        event = sign_event(person(who), kind=kind, tags=[["p", BOT.pubkey], *tags], content="?iv=", created_at=DAWN)
        assert opened(book, envelope, event) == Refusal(Reason.UNDECRYPTABLE)
    event = sign_event(person("m1"), kind=REPORT, tags=[["p", BOT.pubkey]], content="?iv=", created_at=DAWN)
    one = opened(book, envelope, event)
    assert isinstance(one, Opened)
    assert one.said == Refusal(Reason.INVALID, "content cannot be decrypted")


@pytest.mark.parametrize(
    ("subject", "kind", "reason"),
    [
        (f"bitspire-beacon:{person('m2').pubkey}", STATE, Reason.ATTRIBUTION_MISMATCH),
        (BEACON, TELEMETRY, Reason.OFF_FILTER),
        (WORDS, STATE, Reason.OFF_FILTER),
        ("bitspire-cassettes:" + MACHINE_KEY, STATE, Reason.OFF_FILTER),
        ("", STATE, Reason.OFF_FILTER),
    ],
)
def test_a_machine_speaks_of_itself_only(
    book: Book, envelope: CountingEnvelope, subject: str, kind: int, reason: Reason
) -> None:
    """Nor does it say the one thing in the kind of the other; what the bot publishes itself is none of it."""
    refused = opened(book, envelope, made("m1", kind, "{}", ["d", subject]))
    assert isinstance(refused, Refusal)
    assert refused.reason is reason
    assert envelope.opened_for == []


# --- whatever is inside --------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
VERBS = st.sampled_from(
    [
        "settlement add machine=m1",
        "settlement partial s1",
        "splits set",
        "fixed schedule",
        "cassette count m1",
        "lp add",
        "operator add",
        "deposit add ana",
        "settle ana",
        "guard m1",
        "alerts",
        "preview splits set",
        "statement",
        "help",
    ]
)
VALUES = st.text() | st.sampled_from(["s1", "99999999999999999999", "-1", "1e9", "\x00", "machine=", "=", '"', "m1=5"])
COMMANDS = st.builds(lambda verb, rest: " ".join([verb, *rest]), VERBS, st.lists(VALUES, max_size=4))
# A lone surrogate is no text that encryption could carry.
TEXTS = (COMMANDS | st.text() | JSON.map(lambda value: orjson.dumps(value).decode())).filter(
    lambda text: 0 < len(text.encode("utf-8", "replace")) < 5_000 and text.isprintable()
)
RUMORS = st.builds(lambda changes: rumor_of("operator") | changes, st.dictionaries(FIELDS, JSON, max_size=3))


@settings(max_examples=examples(150), deadline=None)
@given(rumor=RUMORS | JSON)
def test_no_rumor_makes_it_stumble(rumor: Any) -> None:
    """Whatever JSON an operator seals: a message, or a refusal with a reason."""
    event = wrapped(orjson.dumps(rumor), seal_by="operator")
    assert isinstance(opened(House.open().book, Envelope(BOT), event), Opened | Refusal)


# Eight texts at once are much to draw: what grows too long is thrown away and counts as filtered.
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(texts=st.lists(st.tuples(st.sampled_from([DM, WRAP, REPORT, STATE, TELEMETRY]), TEXTS), min_size=8, max_size=8))
async def test_nothing_valid_people_write_makes_the_desk_stumble(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[int, str]]
) -> None:
    """Commands, settlements, statements, telemetry of any content: the desk decides all of them, and the books load again."""
    path = tmp_path_factory.mktemp("fuzz") / "office.sqlite"
    async with office(path) as at:
        operator, machine = Keys.from_secret(OPERATOR.secret), Keys.from_secret(MACHINE.secret)
        events = []
        for nth, (kind, text) in enumerate(texts):
            by = machine if kind in (REPORT, STATE, TELEMETRY) else operator
            subject = "telemetry" if kind == TELEMETRY else ("beacon", "cassettes-state")[nth % 2]
            tags = [["p", DESK_BOT.pubkey], ["d", f"bitspire-{subject}:{by.pubkey}"]]
            if kind == WRAP:
                name = str(nth).encode()
                wrap = make_wrap(by, Envelope(by), to=DESK_BOT.pubkey, text=text, at=at.now, name=name)
                events.append(wrap.plain())
            else:
                content = Envelope(by).seal_to(DESK_BOT.pubkey, text, Scheme.NIP44, str(nth).encode())
                events.append(sign_event(by, kind=kind, tags=tags, content=content, created_at=at.now + nth).plain())
        turn = await at.take(*events)
        for question, _ in turn.questions:
            assert await at.bookkeeper.reading.answer(question) is not None
        head = at.head
        await at.reload()
        assert at.head == head
