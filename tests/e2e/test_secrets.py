"""What must not be told is not told (faults.md row 90): a whole run is searched for every secret and every private word.

One bot with a locked key at log level TRACE, its log first for people and then for programs, its metrics shown; people who
talk in every encryption, and as much trouble as a test can make. Afterwards everything that the run has left behind is
searched: both streams of every process, every file of the home, each row of the database, metrics, status, exports.
"""

import base64
import json
import shutil
import signal
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import nostr_sdk
import pytest

from nostrbot.home.keyfile import read_key_file
from nostrbot.nostr.giftwrap import WRAP_PURPOSE
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import NONCE_PURPOSE, conversation_key
from tests.e2e.house import House, eventually, nostrbot_here, running_relay
from tests.e2e.people import DM_KIND, Person
from tests.e2e.sales import sale
from tests.peers.ports import free_port

PASSPHRASE = "correct-horse-battery-staple"
PASSWORD = "hunter2-of-a-database"
STRANGERS = "the combination of the safe is 24-17-08-33"
UNFINISHED = "what nobody was to read, in a message that was cut in two"
PRIVATE_CHARS_MIN = 12  # shorter words ("join", "ok") stand everywhere
BREAK = "CREATE TRIGGER sick BEFORE INSERT ON entry BEGIN SELECT abs(-9223372036854775808); END"


@dataclass
class Evidence:
    """What a run left behind, by where it was found."""

    house: House
    bot: Keys
    said: dict[str, str] = field(default_factory=dict)  # output of commands, the metrics page
    private: set[str] = field(default_factory=set)  # what people and the bot told each other

    def run(self, name: str, *arguments: str | Path, **variables: str) -> str:
        """A command, and what it printed, on both streams."""
        done = nostrbot_here(*arguments, **{"NOSTRBOT_LOG_LEVEL": "TRACE", **variables})
        self.said[name] = done.stdout + done.stderr
        return self.said[name]

    def export(self, name: str, *arguments: str | Path, **variables: str) -> None:
        """A command that writes a file, and what it wrote."""
        path = self.house.folder / name
        self.run(f"{name}, the command", *arguments, "-o", path, **variables)
        self.said[name] = path.read_text()

    @property
    def logs(self) -> dict[str, str]:
        """What the processes wrote."""
        folder = self.house.folder
        return {name: (folder / name).read_text() for name in ("run.out", "run.err", "relay.log")}

    @property
    def rows(self) -> dict[str, str]:
        """Each table of the database as text, bytes as the text or the hex digits they are."""
        with closing(sqlite3.connect(self.house.home / "nostrbot.sqlite")) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {name: "\n".join(map(_text, database.execute(f"SELECT * FROM {name}"))) for name in names}

    @property
    def files(self) -> dict[str, bytes]:
        """Every file below the home but the key file itself."""
        own = self.house.home / "keys" / "bot.nsec"
        found = [path for path in self.house.home.rglob("*") if path.is_file() and path != own]
        return {path.name: path.read_bytes() for path in found}


def _text(row: tuple[object, ...]) -> str:
    return " ".join(one.decode(errors="replace") + one.hex() if isinstance(one, bytes) else str(one) for one in row)


def spellings(secret: bytes) -> set[bytes]:
    """A key's bytes as they are, and as they would be written down."""
    digits = secret.hex().encode()
    return {secret, digits, digits.upper(), base64.b64encode(secret).rstrip(b"=")}


def secrets_of(evidence: Evidence) -> dict[str, set[bytes]]:
    """Everything that must be nowhere, by what it is."""
    bot, house = evidence.bot, evidence.house
    found = {"passphrase": {PASSPHRASE.encode()}, "database password": {PASSWORD.encode()}}
    for person in house.people.values():
        nsec, digits = person.secrets
        shared = bot.shared_x(person.pubkey)
        found[f"secret key of {person.name}"] = {nsec.encode()} | spellings(bytes.fromhex(digits))
        found[f"shared secret with {person.name}"] = spellings(shared)
        found[f"conversation key with {person.name}"] = spellings(conversation_key(shared))
    own = nostr_sdk.SecretKey.parse(bot.nsec()).to_hex()
    found["secret key of the bot"] = {bot.nsec().encode()} | spellings(bytes.fromhex(own))
    for purpose in (NONCE_PURPOSE, WRAP_PURPOSE):
        found[f"key derived for {purpose.decode()}"] = spellings(bot.derive(purpose))
    return found


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    folder, port = tmp_path_factory.mktemp("secrets"), free_port()
    with running_relay(folder) as relay:
        settings = {"NOSTRBOT_LOG_LEVEL": "TRACE", "NOSTRBOT_METRICS": str(port)}
        house = House(folder, relay.url, passphrase=PASSPHRASE, **settings)
        evidence = Evidence(house, read_key_file(house.home / "keys" / "bot.nsec", PASSPHRASE))
        try:
            house.start()
            live_a_day(evidence)
            make_trouble(evidence)
            watch(evidence, port)
            assert house.stop() == 0, house.log[-2000:]
            house.use(NOSTRBOT_LOG_FORMAT="json")
            house.start()
            make_trouble(evidence)
            assert house.stop(signal.SIGINT) == 0
            misuse_the_command_line(evidence)
            evidence.private = private_words(house)
            yield evidence
        finally:
            house.close()


def live_a_day(evidence: Evidence) -> None:
    """An operator, two LPs, sales in every encryption, questions and answers in all three."""
    house = evidence.house
    operator = house.open_operator("antigua", "m1")
    ana, ben = house.seat_lp(operator, "ana", "m1", "9000"), house.seat_lp(operator, "ben", "m1", "700")
    ben.whisper("forward ben-the-baker@wallet.example.com")
    m1 = house.line("m1")
    for scheme in ("nip44", "nip04", "plain"):
        assert m1.settle(sale(m1.person), scheme=scheme)["status"] == "processed"
    ana.wait(lambda: len(ana.receipts) == 3)
    ben.wait(lambda: ben.receipts)
    for scheme in ("nip04", "nip44"):
        ana.ask("history limit=5", scheme=scheme)
    operator.ask('settlement note s1 "the customer left a telephone behind"')
    operator.whisper("report day --json")


def make_trouble(evidence: Evidence) -> None:
    """Strangers, unreadable messages, refused commands with secrets in them, a database that fails."""
    house = evidence.house
    stranger, operator, m1 = house.line("stranger"), house.line("antigua"), house.line("m1")
    for scheme in ("nip04", "nip44", "plain"):
        stranger.publish(stranger.person.command(house.pubkey, STRANGERS, scheme=scheme))
    stranger.publish(stranger.person.whisper(house.pubkey, STRANGERS)[0])
    operator.publish(*unreadable(operator.person, house.pubkey))
    m1.publish(*unreadable(m1.person, house.pubkey))
    nsec, digits = operator.person.secrets
    for text in (
        nsec,
        f"key {digits}",
        f"machine add {nsec} name=m2 fiat=GTQ cash_in=1% cash_out=1%",
        f"lp add {digits} machine={nsec} name=zoe",
        f'deposit add ana {nsec} machine=m1 note="{digits}',
        f"preview settlement note s99 {nsec} --json",
    ):
        operator.ask(text)
    assert m1.settle(json.dumps(sale(m1.person))[:-9])["status"] == "invalid"
    database = house.home / "nostrbot.sqlite"
    with closing(sqlite3.connect(database)) as other:
        logged = house.log.count("cannot be written")
        other.execute(BREAK)
        report = m1.person.report(house.pubkey, sale(m1.person))
        m1.publish(report)
        eventually(lambda: house.log.count("cannot be written") > logged)
        other.execute("DROP TRIGGER sick")
        assert m1.hear(report["id"]).json["status"] == "processed"
        failed = house.log.count("could not answer stats")
        other.execute("ALTER TABLE leg_quarter RENAME TO gone")
        house.line("ana").ask("stats")
        assert house.log.count("could not answer stats") > failed
        other.execute("ALTER TABLE gone RENAME TO leg_quarter")


def unreadable(who: Person, bot: str) -> list[dict[str, object]]:
    """Messages to the bot that it cannot open: for somebody else's eyes, or damaged on their way."""
    elsewhere = Person("elsewhere")
    contents = [who.seal(elsewhere.pubkey, UNFINISHED, scheme) for scheme in ("nip04", "nip44")]
    whole = who.seal(bot, UNFINISHED, "nip04")
    contents += [whole[:-8] + "AAAAAAA=", whole.replace("?iv=", "?iv"), who.seal(bot, UNFINISHED, "nip44")[:-12]]
    return [who.sign(DM_KIND, content, [["p", bot]]) for content in contents]


def watch(evidence: Evidence, port: int) -> None:
    """What whoever watches the running bot sees."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        evidence.said["metrics"] = page.read().decode()
    home, locked = evidence.house.home, {"NOSTRBOT_KEY_PASSPHRASE": PASSPHRASE}
    evidence.run("status", "status", "--home", home, **locked)
    evidence.run("status --json", "status", "--home", home, "--json", **locked)


def misuse_the_command_line(evidence: Evidence) -> None:
    """Secrets where they do not belong, keys that others may read, a passphrase that is not the one."""
    house, folder = evidence.house, evidence.house.folder
    operator = house.person("antigua")
    nsec, _ = operator.secrets
    key, where = operator.write_key(folder), ["--relay", house.urls[0]]
    lax = shutil.copy(key, folder / "lax.nsec")
    lax.chmod(0o644)
    torn = folder / "torn.nsec"
    torn.write_text(nsec[:-1])
    torn.chmod(0o600)
    evidence.run("a key that others may read", "dm", "--key", lax, "--to", house.npub, *where, "whoami")
    evidence.run("half a key", "dm", "--key", torn, "--to", house.npub, *where, "whoami")
    evidence.run("to an nsec", "dm", "--key", key, "--to", nsec, *where, "whoami")
    evidence.run("a platform by its nsec", "init", "--home", folder / "no", "--platform", nsec, *where)
    evidence.run("an operator by its secret", "audit", "export", "--home", house.home, "--operator", nsec)
    evidence.run("a wrong passphrase", "run", "--home", house.home, NOSTRBOT_KEY_PASSPHRASE=f"{PASSPHRASE}r")
    evidence.run("no passphrase", "status", "--home", house.home)
    for url in (f"postgresql://bot:{PASSWORD}@127.0.0.1/bot", f"sqlite {PASSWORD}"):
        locked = {"NOSTRBOT_KEY_PASSPHRASE": PASSPHRASE, "NOSTRBOT_DATABASE_URL": url}
        evidence.run(url.partition(":")[0], "status", "--home", house.home, **locked)
    evidence.run("an audit of a key file", "audit", "verify", key)
    locked = {"NOSTRBOT_KEY_PASSPHRASE": PASSPHRASE}
    wanted = ["--home", house.home, "--operator", operator.npub]
    evidence.export("trail", "audit", "export", *wanted, **locked)
    for noun, form in (("settlements", "json"), ("legs", "csv"), ("deposits", "beancount")):
        evidence.export(noun, "export", noun, *wanted, "--format", form, **locked)


def private_words(house: House) -> set[str]:
    """Each line of what people said to the bot, and it to them, that is long enough to be looked for."""
    texts = [text for person in house.people.values() for text in person.said]
    texts += [one.text for line in house.lines for one in line.heard]
    return {line.strip() for text in texts for line in text.splitlines() if len(line.strip()) >= PRIVATE_CHARS_MIN}


# --- what must not be there -----------------------------------------------------------------------------------------


def test_the_trouble_was_there(evidence: Evidence) -> None:
    """Were nothing logged and nothing refused, the tests here would search nothing."""
    log = evidence.house.log
    for word in (
        "asked to stop",
        "cannot be written (integer overflow)",
        "OperationalError",
        "undecryptable",
        "invalid",
    ):
        assert word in log, word
    assert '"level": "CRITICAL"' in log or '"level": "ERROR"' in log
    assert len(evidence.private) > 60
    assert len(secrets_of(evidence)) > 20
    assert "nostrbot_entries_total" in evidence.said["metrics"]
    assert "chmod 600" in evidence.said["a key that others may read"]
    assert STRANGERS in evidence.private
    assert any("telephone" in text for text in evidence.rows.values())


def test_no_secret_is_anywhere(evidence: Evidence) -> None:
    """Secret keys, the passphrase, shared secrets, what is derived of them: not in any log, file, answer or export."""
    places = {name: text.encode(errors="replace") for name, text in {**evidence.logs, **evidence.said}.items()}
    places |= {f"file {name}": raw for name, raw in evidence.files.items()}
    places |= {f"table {name}": text.encode() for name, text in evidence.rows.items()}
    heard = [one.text for line in evidence.house.lines for one in line.heard]
    places["what people were answered"] = "\n".join(heard).encode()
    found = {
        (what, place)
        for what, forms in secrets_of(evidence).items()
        for place, content in places.items()
        if any(form in content for form in forms)
    }
    assert found == set()


def test_private_words_are_in_no_log_and_on_no_page(evidence: Evidence) -> None:
    """Commands, answers, receipts, sales: not in what the processes write, not in metrics, not in status."""
    places = {**evidence.logs, **{name: evidence.said[name] for name in ("metrics", "status", "status --json")}}
    assert {(words, place) for words in evidence.private for place, text in places.items() if words in text} == set()


@pytest.mark.parametrize("words", [STRANGERS, UNFINISHED])
def test_what_a_stranger_says_and_what_cannot_be_opened_is_kept_nowhere(evidence: Evidence, words: str) -> None:
    """Not even in the database, nor in pages of it that are no longer used."""
    kept = {**evidence.files, **{name: text.encode() for name, text in {**evidence.logs, **evidence.said}.items()}}
    assert [name for name, content in kept.items() if words.encode() in content] == []


def test_errors_are_told_by_the_way_they_came_about(evidence: Evidence) -> None:
    """The question that failed is in the log with its class and its lines, and without the statement's parameters."""
    log = evidence.house.log
    assert "reading.py" in log
    assert "no such table" not in log
    assert evidence.house.person("ana").pubkey not in log


def test_metrics_name_no_key(evidence: Evidence) -> None:
    """Operators by their names; nobody's npub, and no LP in any form."""
    page = evidence.said["metrics"]
    assert 'book="antigua"' in page
    for person in evidence.house.people.values():
        assert person.npub not in page
        assert person.pubkey not in page
    assert '"ana"' not in page


def test_the_json_log_is_json(evidence: Evidence) -> None:
    """From the second start on every line on stderr is one object."""
    first_of_json = evidence.house.log.index('{"at": ')
    told = [json.loads(line) for line in evidence.house.log[first_of_json:].splitlines()]
    assert told[-1]["message"] == "stopped"
    assert all({"at", "time", "level", "module", "line", "message"} <= set(line) for line in told)
