"""Answers: what each command says, in words and in JSON, with the exact names of docs/protocol.md section 6."""

import json
from dataclasses import dataclass

import pytest

from tests.e2e.house import House, eventually
from tests.e2e.people import Line


@dataclass
class Counter:
    """Where nothing has happened yet but enrolment: an operator with two machines and two LPs."""

    house: House
    platform: Line
    operator: Line
    quim: Line
    q1: Line


@pytest.fixture(scope="module")
def counter(town: House) -> Counter:
    platform = town.line("platform")
    operator = town.open_operator("quito", "q1", "q2", platform=platform)
    quim = town.seat_lp(operator, "quim", "q1", "90000")
    operator.data(f"lp add {town.person('quin').npub} machine=q1 name=quin")
    return Counter(town, platform, operator, quim, town.line("q1"))


# --- the frame --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["nip04", "nip44"])
def test_an_answer_comes_the_way_the_command_came(counter: Counter, scheme: str) -> None:
    """Kind 4, from the bot, `p` = who asked, `e` = the command, encrypted as the command was."""
    line = counter.quim
    command = line.person.command(counter.house.pubkey, "whoami", scheme=scheme)
    answer = line.say(command)
    assert answer.kind == 4
    assert answer.event["tags"] == [["p", line.person.pubkey], ["e", command["id"]]]
    assert answer.scheme == scheme
    assert line.person.npub in answer.text
    assert "quito" in answer.text


def test_json_answers_are_framed(counter: Counter) -> None:
    """`--json` anywhere: one object, exactly ok, command, and data or error."""
    for text in ("--json machine show q1", "machine --json show q1", "machine show q1 --json"):
        answer = json.loads(counter.operator.ask(text))
        assert list(answer) == ["ok", "command", "data"]
        assert (answer["ok"], answer["command"]) == (True, "machine show")
    answer = json.loads(counter.operator.ask("machine show m9 --json"))
    assert (answer["ok"], answer["command"]) == (False, "machine show")
    assert set(answer) == {"ok", "command", "error"}
    assert answer["error"]["code"] == "not_found"
    assert "m9" in answer["error"]["message"]


def test_without_json_the_answer_is_words(counter: Counter) -> None:
    """Short plain text that says what happened and what can be done next."""
    words = counter.operator.ask(f"lp add {counter.house.person('carl').npub} machine=q2 name=carl")
    assert not words.startswith("{")
    assert "carl" in words
    assert "join" in words
    assert "lp_not_onboarded" in counter.operator.ask("deposit add carl 5 machine=q2")


@pytest.mark.parametrize(
    "text",
    [
        "machine show q1",
        "/machine show q1",
        "!machine show q1",
        "MACHINE Show Q1",
        "  machine\tshow   q1  ",
        "machine show q1\r\n",
        "machine\u00a0show q1",
        'machine show "q1"',
        "machine show 'q1'",
        "[//]: # (nip18)\nmachine show q1",
        "machine show q1\n[//]: # (nip18)",
    ],
)
def test_ways_to_say_the_same(counter: Counter, text: str) -> None:
    """Fault 44: clients' prefixes, `/` and `!`, quotes, blanks, CRLF and case make no difference."""
    assert counter.operator.ask(text) == counter.operator.ask("machine show q1")


@pytest.mark.parametrize(
    ("who", "text", "code"),
    [
        ("operator", "frobnicate", "unknown_command"),
        ("operator", "", "unknown_command"),
        ("operator", "settlement partial s1 fiat=5", "missing_argument"),
        ("operator", "machine show", "missing_argument"),
        ("operator", "machine show q1 q2", "unknown_argument"),
        ("operator", "machine show q1 colour=red", "unknown_argument"),
        ("operator", "lp list limit=0", "bad_argument"),
        ("operator", "lp list limit=-3", "bad_argument"),
        ("operator", "machine set q1 cash_out=7.77777%", "bad_argument"),
        ("operator", "machine set q1 cash_out=101%", "bad_argument"),
        ("operator", "deposit add quim 0 machine=q1", "bad_argument"),
        ("operator", "deposit add quim -5 machine=q1", "bad_argument"),
        ("operator", "deposit add quim 5.001 machine=q1", "bad_argument"),
        ("operator", "deposit add quim 1e3 machine=q1", "bad_argument"),
        ("operator", 'deposit add quim 5 machine=q1 note="open', "bad_quoting"),
        ("operator", "deposit add quim 5 machine=m9", "not_found"),
        ("operator", "deposit add zoe 5 machine=q1", "not_found"),
        ("operator", "deposit add quin 5 machine=q1", "lp_not_onboarded"),
        ("operator", "deposit confirm d999", "not_found"),
        ("operator", "deposit confirm d1", "wrong_status"),
        ("operator", "deposit edit d1 amount=7", "wrong_status"),
        ("operator", "deposit cancel d1", "wrong_status"),
        ("operator", "settlement show s999", "not_found"),
        ("operator", "splits set a=50%:self b=50.0001%:quim", "splits_not_whole"),
        ("operator", "splits set a=50%:self b=49.9999%:quim", "splits_not_whole"),
        ("operator", "machine add npub1broken name=m7 fiat=GTQ cash_in=1% cash_out=1%", "bad_argument"),
        ("operator", "operator list", "not_allowed"),
        ("operator", "join", "not_allowed"),
        ("quim", "deposit confirm d1", "not_allowed"),
        ("quim", "settlement list", "not_allowed"),
        ("quim", "platform fee cash_in=0% cash_out=0%", "not_allowed"),
        ("platform", "machine list", "not_allowed"),
        ("platform", "operator suspend nobody", "not_found"),
        ("q1", "balance", "not_allowed"),
    ],
)
def test_refusals_have_a_code(counter: Counter, who: str, text: str, code: str) -> None:
    """`{"code", "message"}` and nothing else happens; in words the answer ends with the code."""
    line: Line = getattr(counter, who)
    assert line.refused(text) == code
    words = line.ask(text)
    assert not words.startswith("{")
    assert code in words


def test_an_unknown_command_names_what_there_is(counter: Counter) -> None:
    """A command of a later version is not there yet, and the answer says what is."""
    message = counter.operator.ask_json("payouts")["error"]["message"]
    for verb in ("deposit add", "settlement show", "whoami"):
        assert verb in message


# --- one thing, each noun ---------------------------------------------------------------------------------------------

MACHINE = {"name", "npub", "fiat", "active", "location", "trust", "created_at"}
LP = {"name", "npub", "lp_onboarded", "mode", "active", "sats", "machines"}
DEPOSIT = {"id", "lp", "machine", "amount", "currency", "status", "note", "created_at", "confirmed_at"}


def test_machines(counter: Counter) -> None:
    """machine add, show, set, suspend, resume give `{"machine": …}`; the list is newest first."""
    npub = counter.house.person("q3").npub
    added = counter.operator.data(
        f'machine add {npub} name=q3 fiat=usd cash_in=5% cash_out=7.77% location="Parque Central" trust=preimage'
    )["machine"]
    assert set(added) >= MACHINE
    assert (added["name"], added["npub"], added["fiat"], added["active"]) == ("q3", npub, "USD", True)
    assert (added["cash_out"], added["cash_out_ppm"]) == ("7.77%", 77_700)
    assert (added["location"], added["trust"]) == ("Parque Central", "preimage")
    assert counter.operator.data("machine show q3") == {"machine": added}
    changed = counter.operator.data("machine set q3 cash_out=6.5% trust=signature")["machine"]
    assert (changed["cash_out_ppm"], changed["trust"], changed["cash_in_ppm"]) == (65_000, "signature", 50_000)
    assert changed["location"] == "Parque Central"
    assert counter.operator.data("machine suspend q3")["machine"]["active"] is False
    assert counter.operator.data("machine resume q3")["machine"]["active"] is True
    assert [row["name"] for row in counter.operator.data("machine list")["machines"]] == ["q3", "q2", "q1"]
    for again, code in ((f"{npub} name=q4", "key_taken"), (f"{counter.house.person('q4').npub} name=q3", "name_taken")):
        assert counter.operator.refused(f"machine add {again} fiat=GTQ cash_in=1% cash_out=1%") == code


def test_keys_are_taken_in_both_forms(counter: Counter) -> None:
    """npub and hex, in either case, are accepted; people are shown the npub."""
    dora = counter.house.person("dora")
    added = counter.operator.data(f"lp add {dora.pubkey.upper()} machine=q2 name=dora")["lp"]
    assert added["npub"] == dora.npub
    assert counter.operator.refused(f"lp add {dora.npub} machine=q2 name=dorothy") == "already_enrolled"


def test_lps(counter: Counter) -> None:
    """lp add, show, suspend, resume give `{"lp": …}`; at another machine the name stays; not joined yet is shown."""
    eva = counter.house.person("eva")
    added = counter.operator.data(f"lp add {eva.npub} machine=q1 name=eva")["lp"]
    assert set(added) >= LP
    assert (added["name"], added["npub"], added["lp_onboarded"], added["mode"]) == ("eva", eva.npub, False, None)
    at_both = counter.operator.data(f"lp add {eva.npub} machine=q2 name=evita")["lp"]
    assert (at_both["name"], [seat["machine"] for seat in at_both["machines"]]) == ("eva", ["q1", "q2"])
    suspended = counter.operator.data("lp suspend eva machine=q2")["lp"]
    assert [seat["active"] for seat in suspended["machines"]] == [True, False]
    assert counter.operator.data("lp resume eva")["lp"] == counter.operator.data("lp show eva")["lp"]
    assert counter.operator.data("lp list machine=q1")["lps"][0]["name"] == "eva"
    names = [row["name"] for row in counter.operator.data("lp list")["lps"]]
    assert names.index("eva") < names.index("quin") < names.index("quim")
    assert counter.operator.refused("lp list machine=m9") == "not_found"


def test_an_lps_own_choices(counter: Counter) -> None:
    """join and mode give the LP; saying it again changes nothing."""
    fay = counter.house.line("fay")
    counter.operator.data(f"lp add {fay.person.npub} machine=q1 name=fay")
    assert fay.refused("mode fixed limit=500") == "lp_not_onboarded"
    joined = fay.data("join")["lp"]
    assert (joined["lp_onboarded"], joined["mode"]) == (True, "flow")
    assert fay.data("mode fixed limit=500")["lp"]["mode"] == "fixed"
    assert fay.data("join")["lp"]["mode"] == "fixed"
    assert fay.data("mode flow")["lp"]["mode"] == "flow"
    assert fay.refused("mode sideways") == "bad_argument"


def test_a_deposits_life(counter: Counter) -> None:
    """pending, edited, confirmed, reversed; each answer is `{"deposit": …}`; the currency is the machine's."""
    say = counter.operator.data
    added = say('deposit add quim 9000 machine=q1 note="first bag" currency=EUR')["deposit"]
    number = added["id"]
    assert set(added) >= DEPOSIT
    assert added | {"lp": "quim", "machine": "q1", "amount": "9000.00", "currency": "GTQ", "status": "pending"} == added
    assert (added["note"], added["confirmed_at"]) == ("first bag", None)
    edited = say(f"deposit edit {number} amount=9000.50")["deposit"]
    assert (edited["amount"], edited["note"]) == ("9000.50", "first bag")
    before = counter.quim.data("balance")[0]["deposited"]
    confirmed = say(f"deposit confirm {number}")["deposit"]
    assert confirmed["status"] == "confirmed"
    assert confirmed["confirmed_at"] >= confirmed["created_at"]
    assert (before, counter.quim.data("balance")[0]["deposited"]) == ("90000.00", "99000.50")
    assert counter.operator.refused(f"deposit confirm {number}") == "wrong_status"
    assert counter.operator.refused(f"deposit reverse {number}") == "missing_argument"
    reversed_ = say(f'deposit reverse {number} reason="counted wrong"')["deposit"]
    assert (reversed_["status"], reversed_["amount"]) == ("reversed", "9000.50")
    assert counter.quim.data("balance")[0]["deposited"] == "90000.00"
    dropped = say("deposit add quim 5 machine=q1")["deposit"]["id"]
    assert say(f"deposit cancel {dropped}")["deposit"]["status"] == "cancelled"
    assert [row["id"] for row in say("deposit list status=reversed lp=quim")["deposits"]] == [number]


def test_the_platforms_answers(counter: Counter) -> None:
    """operator add, list, suspend, resume; platform fee, status."""
    say = counter.platform.data
    npub = counter.house.person("bruges").npub
    added = say(f"operator add {npub} name=bruges tz=Europe/Brussels")["operator"]
    assert added | {"name": "bruges", "npub": npub, "tz": "Europe/Brussels", "active": True} == added
    names = [row["name"] for row in say("operator list limit=1000")["operators"]]
    assert names[0] == "bruges"
    assert "quito" in names
    assert say("operator suspend bruges")["operator"]["active"] is False
    bruges = counter.house.line("bruges")
    assert bruges.refused("machine list") == "operator_suspended"
    assert say("operator resume bruges")["operator"]["active"] is True
    assert bruges.data("machine list") == {"machines": []}
    fee = say("platform status")["platform"]
    assert (fee["cash_in_ppm"], fee["cash_out_ppm"]) == (10_000, 15_000)
    assert counter.platform.refused(f"operator add {npub} name=ghent") == "key_taken"
    other = counter.house.person("ghent").npub
    assert counter.platform.refused(f"operator add {other} name=bruges") == "name_taken"
    assert counter.platform.refused(f"operator add {other} name=Ghent_1") == "bad_argument"
    for zone in ("Mars/Olympus", "Factory", "localtime", "right/UTC", "europe/brussels", "posixrules"):  # review row F4
        assert counter.platform.refused(f"operator add {other} name=ghent tz={zone}") == "bad_argument"


def test_splits(counter: Counter) -> None:
    """Replaced as one; a machine's own set hides the default until it is cleared."""
    say = counter.operator.data
    assert say("splits show")["splits"] == []
    partner = counter.house.person("partner").npub
    given = say(f"splits set house=50%:self quim=33.3333%:quim partner=16.6667%:{partner}")["splits"]
    assert [(rule["label"], rule["ppm"], rule["to"]) for rule in given] == [
        ("house", 500_000, "self"),
        ("quim", 333_333, "quim"),
        ("partner", 166_667, partner),
    ]
    assert say("splits show machine=q2")["splits"] == given
    own = say("splits set machine=q2 all=100%:self")["splits"]
    assert [rule["label"] for rule in own] == ["all"]
    assert counter.operator.refused("splits set a=99%:self") == "splits_not_whole"
    assert say("splits show")["splits"] == given
    assert say("splits clear machine=q2")["splits"] == given
    say("splits set all=100%:self")


def test_help_and_whoami(counter: Counter) -> None:
    """Everyone with a role is told what there is for them, and who they are."""
    offered = {"platform": "operator add", "operator": "deposit add", "quim": "balance", "q1": "whoami"}
    for who, verb in offered.items():
        line: Line = getattr(counter, who)
        assert verb in line.ask("help")
        assert line.data("help")["help"]
        assert line.data("whoami")["whoami"]["npub"] == line.person.npub
    assert "deposit add" not in counter.quim.ask("help")
    topic = counter.operator.ask("help deposit add")
    assert "machine=" in topic
    assert counter.operator.refused("help frobnicating") == "not_found"


# --- preview ----------------------------------------------------------------------------------------------------------


def test_preview_changes_nothing(counter: Counter) -> None:
    """`preview <command>` answers what the command would, twice the same, and nothing is there afterwards."""
    say = counter.operator.data
    entries = say("deposit list")
    first = say("preview deposit add quim 77 machine=q1")["deposit"]
    second = say("preview deposit add quim 77 machine=q1")["deposit"]
    assert (first["id"], first["amount"], first["status"]) == (second["id"], "77.00", "pending")
    assert say("deposit list") == entries
    assert counter.operator.refused("preview deposit confirm d999") == "not_found"
    assert "77.00" in counter.operator.ask("/preview deposit add quim 77 machine=q1")
    gil = counter.house.person("gil").npub
    say(f"preview machine add {gil} name=m9 fiat=GTQ cash_in=1% cash_out=1%")
    assert counter.operator.refused("machine show m9") == "not_found"
    assert say("deposit add quim 77 machine=q1")["deposit"]["id"] == first["id"]


# --- what people type is shown, not obeyed ----------------------------------------------------------------------------


def test_what_people_type_is_a_literal(counter: Counter) -> None:
    """Fault 45: quotes, SQL, line breaks, right-to-left marks: kept in JSON, escaped in words, obeyed by nobody."""
    note = "'; DROP TABLE entry; -- \u202egnp.exe\u200b"
    added = counter.operator.data(f'deposit add quim 3 machine=q1 note="{note}"')["deposit"]
    assert added["note"] == note
    words = counter.operator.ask("deposit list limit=1")
    assert "DROP TABLE" in words
    assert "\u202e" not in words
    assert "\u200b" not in words


# --- no answer ----------------------------------------------------------------------------------------------------------


def test_strangers_get_no_reply(counter: Counter) -> None:
    """Fault 31: whatever they say, with whatever encryption; counted in `status`."""
    stranger = counter.house.line("stranger")
    events = [
        stranger.person.command(counter.house.pubkey, "help"),
        stranger.person.command(counter.house.pubkey, "whoami --json", scheme="nip44"),
        stranger.person.sign(4, "no cipher at all", [["p", counter.house.pubkey]]),
    ]
    stranger.publish(*events)
    counter.operator.ask("whoami")  # answered after all that the relay had from the stranger before
    stranger.publish(stranger.person.command(counter.house.pubkey, "help"))
    assert stranger.heard == []


def test_what_is_no_command_is_left_alone(counter: Counter) -> None:
    """Faults 42, 43: broken ciphers from somebody known get no reply either (no padding oracle), and nothing stops."""
    line = counter.house.line("quim")
    good = line.person.seal(counter.house.pubkey, "balance", "nip04")
    body, _, iv = good.partition("?iv=")
    broken = [
        "",
        "balance",
        '{"balance": 1}',
        body,
        f"{body}?iv=",
        f"{body}?iv={iv[:8]}",
        f"{body[:-6]}?iv={iv}",
        f"!{body[1:]}?iv={iv}",
        f"{'A' * 43}=?iv={iv}",
    ]
    line.publish(*(line.person.sign(4, content, [["p", counter.house.pubkey]]) for content in broken))
    line.ask("whoami")
    assert [line.answers_to(event["id"]) for event in line.sent[: len(broken)]] == [[]] * len(broken)
    refusals = eventually(lambda: _at_least(counter.house.status()["refusals"], undecryptable=len(broken)), every_s=0.3)
    assert refusals["unknown_author"] >= 3


def _at_least(refusals: dict[str, int], **wanted: int) -> dict[str, int] | None:
    return refusals if all(refusals.get(reason, 0) >= count for reason, count in wanted.items()) else None
