"""Commands: what people type, understood or refused with the reason (docs/protocol.md section 6)."""

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.states import DepositStatus, Mode, Trust
from nostrbot.core.commands.command import COMMAND_CHARS_MAX, Command, Misunderstood
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import CommandSpec, Role
from nostrbot.core.parsing import name_what_there_is, parse
from nostrbot.core.rules import FIRST, RULES
from nostrbot.core.table import SPECS, TABLE
from tests.houses import person, told


def understood(text: str) -> Command:
    command = parse(told(text))
    assert isinstance(command, Command), command
    return command


def refused(text: str) -> CommandRefused:
    outcome = parse(told(text))
    assert isinstance(outcome, Misunderstood), outcome
    return outcome.refused


NOTE = 'deposit add ana 9000 machine=m1 note="two bundles"'
NOTE_ARGS = {"lp": "ana", "amount": "9000", "machine": "m1", "note": "two bundles"}


def test_a_command_is_words_in_the_table_s_order_and_keys_in_any() -> None:
    """Positional arguments by place, the others by name."""
    assert understood(NOTE).args == NOTE_ARGS
    assert understood('deposit add note="two bundles" machine=m1 ana 9000').args == NOTE_ARGS


@pytest.mark.parametrize(
    "text",
    [
        "deposit add ana 9000 machine=m1 note='two bundles'",
        "deposit add ana 9000 machine=m1 note=two\\ bundles",
        "deposit add ana 9000 machine=m1 'note=two bundles'",
        "deposit add ana 9000 machine=m1 note=“two bundles”",
        "deposit add ana 9000 machine=m1 note=„two bundles“",
        "/deposit add ana 9000 machine=m1 note='two bundles'",
        "!deposit add ana 9000 machine=m1 note='two bundles'",
        "  deposit   add\tana 9000  machine=m1 note='two bundles'  ",
        "deposit\u00a0add ana\u202f9000 machine=m1 note='two bundles'",
        "deposit add ana 9000\r\nmachine=m1\r\nnote='two bundles'\r\n",
        '[//]: # (nip18)\ndeposit add ana 9000 machine=m1 note="two bundles"',
        '  [//]: # "quoted: don\'t parse\r\ndeposit add ana 9000 machine=m1 note="two bundles"\r\n[//]: # (end',
        "DEPOSIT Add ANA 9000 MACHINE=M1 Note='two bundles'",
    ],
)
def test_what_clients_and_keyboards_make_of_it_is_the_same_command(text: str) -> None:
    """Quotes, smart quotes, prefixes, NBSP, CRLF, client lines, upper case (faults.md row 44)."""
    command = understood(text)
    assert command.verb == "deposit add"
    assert command.args == NOTE_ARGS
    assert not command.json
    assert not command.preview


@pytest.mark.parametrize(
    "text",
    [
        "--json deposit confirm d1",
        "deposit --json confirm d1",
        "deposit confirm --json d1",
        "deposit confirm d1 --json",
    ],
)
def test_json_may_stand_anywhere(text: str) -> None:
    """It is no argument of any command."""
    command = understood(text)
    assert command.json
    assert command.args == {"deposit": 1}


def test_json_inside_a_quote_is_text() -> None:
    """Only the word itself asks for JSON."""
    command = understood("deposit confirm d1 --json")
    assert command.json
    assert understood('deposit edit d1 note="send --json please"').json is False


@pytest.mark.parametrize(
    "text", ["preview deposit confirm d1", "/Preview deposit confirm d1", "PREVIEW /deposit confirm d1"]
)
def test_preview_stands_before_a_command(text: str) -> None:
    """Anything can be asked what it would do."""
    command = understood(text)
    assert (command.verb, command.preview, command.args) == ("deposit confirm", True, {"deposit": 1})


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", Code.UNKNOWN_COMMAND, "that is not a command"),
        ("preview", Code.UNKNOWN_COMMAND, "that is not a command"),
        ("--json", Code.UNKNOWN_COMMAND, "that is not a command"),
        ("frobnicate", Code.UNKNOWN_COMMAND, "there is no command 'frobnicate'"),
        ("deposit", Code.UNKNOWN_COMMAND, "there is no command 'deposit'"),
        ("cassette empty m1", Code.UNKNOWN_COMMAND, "there is no command 'cassette empty'"),
        ('deposit edit d1 note="x', Code.BAD_QUOTING, 'a quote or an apostrophe is not closed: put text in "…"'),
        ("deposit edit d1 note=don't", Code.BAD_QUOTING, 'a quote or an apostrophe is not closed: put text in "…"'),
        ("deposit confirm", Code.MISSING_ARGUMENT, "deposit is missing. Say: deposit confirm <deposit>"),
        ("lp add @ana name=ana", Code.MISSING_ARGUMENT, "machine is missing. Say: lp add <npub> machine=<machine> name=<name>"),
        ("deposit confirm d1 d2", Code.UNKNOWN_ARGUMENT, "'d2' is not understood here. Say: deposit confirm <deposit>"),
        ("deposit confirm d1 force=yes", Code.UNKNOWN_ARGUMENT, "'force=yes' is not understood here. Say: "),
        ("deposit confirm d1 --force", Code.UNKNOWN_ARGUMENT, "'--force' is not understood here. Say: "),
        ("machine set m1 location=a location=b", Code.BAD_ARGUMENT, "location is given twice"),
        ("deposit confirm s1", Code.BAD_ARGUMENT, "deposit must be an id like d12"),
        ("deposit confirm d٣", Code.BAD_ARGUMENT, "deposit must be an id like d12"),
        ("deposit add ana 9,000 machine=m1", Code.BAD_ARGUMENT, "amount must be an amount above zero, like 9000.00"),
        ("deposit add ana 0.00 machine=m1", Code.BAD_ARGUMENT, "amount must be an amount above zero, like 9000.00"),
        ("machine set m1 cash_in=7.77777%", Code.BAD_ARGUMENT,
         "cash_in must be a percentage from 0 to 100 with at most four decimals, like 7.77%"),
        ("machine set m1 trust=blindly", Code.BAD_ARGUMENT, "trust must be one of signature, preimage, wallet"),
        ("machine set m1 enforce_fee_match=maybe", Code.BAD_ARGUMENT, "enforce_fee_match must be on or off"),
        ("machine add @m1 name=m1 fiat=quetzal cash_in=0 cash_out=0", Code.BAD_ARGUMENT,
         "fiat must be a currency code of three letters, like GTQ"),
        ("machine show m_1", Code.BAD_ARGUMENT, "machine must be a name of a-z, 0-9 and -, at most 32 characters"),
        ("lp add npub1xyz machine=m1 name=ana", Code.BAD_ARGUMENT, "npub must be an npub or 64 hex digits of a public key"),
        ("operator add @ana name=ana tz=../../etc/passwd", Code.BAD_ARGUMENT,
         "tz must be an IANA time zone, like America/Guatemala"),
        ("history limit=0", Code.BAD_ARGUMENT, "limit must be a number from 1 to 1000"),
        ("history limit=1001", Code.BAD_ARGUMENT, "limit must be a number from 1 to 1000"),
        ("history since=yesterday", Code.BAD_ARGUMENT, "since must be a time in unix seconds"),
        ("mode sideways", Code.BAD_ARGUMENT, "mode must be one of flow, fixed"),
        (f"deposit edit d1 note={'x' * 281}", Code.BAD_ARGUMENT, "note must be at most 280 characters"),
    ],
)  # fmt: skip
def test_what_is_not_understood_says_why_and_what_to_say(text: str, code: Code, message: str) -> None:
    """An unknown command names what there is; a known one shows how it is written."""
    outcome = refused(text)
    assert outcome.code is code
    assert outcome.message.startswith(message)


@pytest.mark.parametrize(
    ("said", "roles", "known"),
    [
        (
            "frobnicate",
            (Role.LP,),
            "join, mode, pause, resume, forward, balance, history, deposits, stats, statement, receipt, proof, help, "
            "whoami",
        ),
        ("frobnicate", (), "help, whoami"),
        ("Splits burn", (Role.OPERATOR,), "splits show, splits set, splits clear"),
        ("release s2", (Role.OPERATOR,), "settlement release"),
        (
            "splits burn",
            (Role.LP,),
            "join, mode, pause, resume, forward, balance, history, deposits, stats, statement, receipt, proof, help, "
            "whoami",
        ),
    ],
)
def test_an_unknown_command_is_told_what_its_author_may_say(said: str, roles: tuple[Role, ...], known: str) -> None:
    """Those that have the first word said, if there are any; an LP is never shown the operator's."""
    named = name_what_there_is(refused(said), said, roles)
    assert named.code is Code.UNKNOWN_COMMAND
    assert named.message.endswith(f". There is: {known}")


def test_a_refusal_knows_how_its_author_wants_the_answer() -> None:
    """--json of a misunderstood command is still --json, also when a quote is open."""
    for text in ("frobnicate --json", 'deposit edit d1 --json note="x', "deposit confirm --json"):
        outcome = parse(text)
        assert isinstance(outcome, Misunderstood)
        assert outcome.json


def test_a_secret_key_is_refused_and_not_repeated() -> None:
    """People paste the wrong one."""
    nsec = person("ana").nsec()
    assert nsec not in refused(f"lp add {nsec} machine=m1 name=ana").message


def test_a_text_longer_than_a_line_is_no_command() -> None:
    """One character more than the limit is refused without being read."""
    fits = "whoami" + " " * (COMMAND_CHARS_MAX - 6)
    assert understood(fits).verb == "whoami"
    assert refused(fits + " ") == CommandRefused(Code.BAD_ARGUMENT, "a command has at most 4096 characters")


@pytest.mark.parametrize(
    "note",
    ["'; DROP TABLE entry; --", "$(reboot) `reboot` && reboot | cat > /dev/null", "{0} %s {{x}}", "../../etc/passwd",
     "\u202eyap\u202c", "zero\u200bwidth", "<script>alert(1)</script>", "line one\\nline two"],
)  # fmt: skip
def test_what_looks_like_an_injection_is_a_literal(note: str) -> None:
    """faults.md row 45: text is text, kept as it was typed."""
    quoted = '"' + note.replace("\\", "\\\\").replace("`", "`") + '"'
    assert understood(f"deposit edit d1 note={quoted}").args["note"] == note


@pytest.mark.parametrize(
    "name", ["аna", "ana\u200b", "ana\u202e", "ana;", "-ana", "ana_1", "a" * 33, "", "ana.", "ａｎａ"]
)
def test_a_name_that_could_pass_for_another_is_refused(name: str) -> None:
    """Homoglyphs, invisible characters and punctuation are not in a handle (faults.md row 45)."""
    assert refused(f'lp add @ana machine=m1 "name={name}"').code is Code.BAD_ARGUMENT


def test_newlines_are_blanks_and_never_a_second_command() -> None:
    """One message, one command."""
    assert refused("deposit confirm d1\ndeposit confirm d2").code is Code.UNKNOWN_ARGUMENT


def test_values_are_read_once_into_what_they_are() -> None:
    """Keys as hex, percentages as ppm, ids as numbers, choices as members."""
    added = understood("machine add @m1 name=M1 fiat=gtq cash_in=5% cash_out=7.77 trust=WALLET enforce_fee_match=ON")
    assert added.args == {
        "npub": person("m1").pubkey,
        "name": "m1",
        "fiat": "GTQ",
        "cash_in": 50_000,
        "cash_out": 77_700,
        "trust": Trust.WALLET,
        "enforce_fee_match": True,
    }
    assert understood("deposit list status=Confirmed limit=5").args == {"status": DepositStatus.CONFIRMED, "limit": 5}
    assert understood("deposit confirm D7").args == {"deposit": 7}
    assert understood("deposit confirm 7").args == {"deposit": 7}
    assert understood("join mode=FIXED").args == {"mode": Mode.FIXED}


def test_free_pairs_keep_their_order_and_their_case() -> None:
    """Splits: position breaks ties, and a label is what people called it."""
    command = understood("splits set House=60%:self machine=m1 Ana=40%:ana")
    assert command.rest == (("House", "60%:self"), ("Ana", "40%:ana"))
    assert command.args == {"machine": "m1"}


def test_help_takes_any_topic() -> None:
    """`help` followed by anything is about that."""
    assert understood("help").args == {"topic": ""}
    assert understood("help Deposit ADD").args == {"topic": "deposit add"}


@pytest.mark.parametrize("form", TABLE, ids=lambda form: form.verb)
def test_every_command_has_help_and_its_usage_names_its_arguments(form: CommandSpec) -> None:
    """`help <command>` is made of the table: nothing in it may be empty."""
    assert form.summary
    assert form.usage.startswith(form.verb)
    for arg in form.args:
        assert arg.name in form.usage or not arg.shown
    assert SPECS[form.verb] is form
    assert form.verb == form.verb.lower()
    assert len(form.verb.split()) <= 2
    assert not form.changes or Role.ANYONE not in form.roles


@pytest.mark.parametrize("form", [form for form in TABLE if form.example], ids=lambda form: form.verb)
def test_every_example_of_the_help_is_a_command(form: CommandSpec) -> None:
    """What help shows can be typed, with a real npub in its place."""
    command = parse(form.example.replace("npub1…", person("ana").npub))
    assert isinstance(command, Command), command
    assert command.spec is form


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_parser_raise(text: str) -> None:
    """Bad input never raises past its door."""
    assert isinstance(parse(text), Command | Misunderstood)


words = st.sampled_from(
    [*{word for form in TABLE for word in form.verb.split()}, "--json", "preview", "/", "!", "m1", "d1", "l1", "5", "=", "''",
     "machine=m1", "name=x", "amount=5", "note=", "limit=", "a=50%:self", "%", '"', "\\", "\n", "[//]:", person("ana").npub]
)  # fmt: skip


@given(st.lists(words | st.text(max_size=70), max_size=9))
@settings(max_examples=250, deadline=None)
def test_no_salad_of_the_table_s_own_words_makes_the_parser_raise(salad: list[str]) -> None:
    """Close to commands and yet not: understood or refused with a sentence."""
    outcome = parse(" ".join(salad))
    if isinstance(outcome, Misunderstood):
        assert outcome.refused.message


# --- as people type (review rows F8, F13) -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["balance —json", "balance –json", "balance −json", "balance -json", "balance ――json", "balance --JSON", "—json balance",
     "balance --json.", "balance \u200b--json", "balance －－ｊｓｏｎ"],
)  # fmt: skip
def test_f13_json_as_keyboards_write_it(text: str) -> None:
    """Two hyphens become a dash on the way."""
    command = understood(text)
    assert (command.verb, command.json) == ("balance", True)


@pytest.mark.parametrize(
    "text",
    ["Balance.", "balance. ", "BALANCE!", "balance…", "balance?", "\u200bbalance\u200b", "\ufeffbalance", "\u202abalance\u202c",
     "\u00a0balance\u2003", "`balance`", '"balance"', "“balance”", "‘balance’", "ｂａｌａｎｃｅ", "/balance.", "bal\u00adance", "\u2060 balance"],
)  # fmt: skip
def test_f13_a_command_with_what_surrounds_it(text: str) -> None:
    """Punctuation, characters that nobody sees, quotes of every kind."""
    assert understood(text).verb == "balance"


@pytest.mark.parametrize(
    "text",
    ["deposit confirm d1.", "Deposit confirm d1!", "deposit confirm, d1", "deposit confirm d1\u200b", "deposit confirm \u202ad1\u202c",
     "deposit confirm <d1>", "deposit confirm ｄ１", '"deposit confirm d1"', "`deposit confirm d1`", "deposit\u3000confirm\u2009d1",
     "deposit confirm \u200b d1", "preview. deposit confirm d1"],
)  # fmt: skip
def test_f13_arguments_with_what_surrounds_them(text: str) -> None:
    """What must be one of a kind, and is none as it stands, is read as it was meant."""
    assert understood(text).args == {"deposit": 1}


@pytest.mark.parametrize("text", ["¿balance?", "¡Balance!", "`¿balance?`"])
def test_u2_a_question_in_spanish(text: str) -> None:
    assert understood(text).verb == "balance"


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("lp show @Ana", {"lp": "ana"}),
        ("settlement show #7", {"settlement": 7}),
        ("operator suspend Antigua!", {"name": "antigua"}),  # a name that is known, in its place
        ("operator resume `antigua`.", {"name": "antigua"}),
        ("fixed schedule 8:00, 20:00", {"times": ("08:00", "20:00")}),
        ("fixed schedule 20:00 8:00", {"times": ("08:00", "20:00")}),
        ("fixed schedule off.", {"times": ()}),
    ],
)
def test_u2_arguments_as_chats_have_them(text: str, args: dict[str, object]) -> None:
    assert understood(text).args == args


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("settlement note s1 el cliente", "'cliente' is not understood here: put text of several words in quotes, \"…\""),
        ("deposit add ana 50 machine=m1 note=de mi hermano", "'mi' is not understood here: put text of several words in quotes, note=\"…\""),
        ("settlement partial s1 fiat=5 note=se atoró", "'atoró' is not understood here: put text of several words in quotes, note=\"…\""),
        ("deposit add note=x ana 50 machine=m1 GTQ", "'GTQ' is not understood here. Say: "),
        ("fixed schedule 8:00 y 20:00", "times must be times like 08:00,20:00"),
        ("history type=compra", "type must be one of dca, settlement, operator_split"),
        ("operator add npub1… name=antigua!", "npub must be"),
    ],
)  # fmt: skip
def test_u2_what_is_said_of_a_slip_says_what_to_type(text: str, what: str) -> None:
    """Text without quotes, words between times, and choices: those that help shows, and no others."""
    assert refused(text).message.startswith(what)


@pytest.mark.parametrize("code", ["GQT", "XXX", "QTQ", "BTC", "USX", "KWT"])
def test_u6_a_currency_that_there_is_not_is_refused_where_a_machine_would_have_it_for_ever(code: str) -> None:
    """With a slip in it all that the machine sells would be `currency_mismatch`. By the first rules it was taken."""
    text = f"machine add {person('m1').npub} name=m1 fiat={code} cash_in=5% cash_out=6%"
    assert refused(text).message == (
        "fiat must be the code of an existing currency, like GTQ: a machine keeps it for ever"
    )
    assert isinstance(parse(text, FIRST), Command)


@pytest.mark.parametrize(
    "code", ["GTQ", "usd", "JPY", "KWD", "Cop", "HNL", "NIO", "CRC", "BZD", "MXN", "SVC", "XPF", "EUR."]
)
def test_u6_a_currency_that_there_is_is_taken(code: str) -> None:
    text = f"machine add {person('m1').npub} name=m1 fiat={code} cash_in=5% cash_out=6%"
    assert understood(text).args["fiat"] == code.upper().rstrip(".")


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ("0.05", "written with its sign: 0.05% or, if that is a fraction, 5%"),
        ("0.0777", "written with its sign: 0.0777% or, if that is a fraction, 7.77%"),
        ("0.9999", "written with its sign: 0.9999% or, if that is a fraction, 99.99%"),
        ("7,77", "a percentage from 0 to 100 with at most four decimals, like 7.77%: no comma"),
    ],
)
def test_u8_a_fraction_is_not_taken_for_a_percentage(typed: str, what: str) -> None:
    """`cash_out=0.0777` for 7.77 % was a fee a hundred times smaller. By the first rules it was taken."""
    text = f"machine set m1 cash_out={typed}"
    assert refused(text).message == f"cash_out must be {what}"
    assert isinstance(parse(text, FIRST), Command) is ("," not in typed)
    assert refused(f"guard m1 rate={typed}").message == f"rate must be {what}"


@pytest.mark.parametrize(
    ("typed", "ppm"),
    [("0.05%", 500), ("0.05 %", 500), ("0", 0), ("0%", 0), ("0.0", 0), ("1", 10_000), ("7.77", 77_700)],
)
def test_u8_with_its_sign_it_is(typed: str, ppm: int) -> None:
    assert understood(f'machine set m1 cash_out="{typed}"').args["cash_out"] == ppm


def test_u2_a_new_name_is_taken_as_it_was_typed() -> None:
    assert refused(f"operator add {person('ana').npub} name=antigua!").message.startswith("name must be a name")


def test_f13_dashes_and_wide_signs_within_arguments() -> None:
    """A date with en dashes, an equals sign of a Japanese keyboard."""
    assert understood("history since=2026–11–01").args == understood("history since=2026-11-01").args
    assert understood("lp show m‑1").args == {"lp": "m-1"}
    assert understood("deposit list lp＝ana").args == {"lp": "ana"}
    assert understood("settlement note s7 ‘two bundles’").args == {"settlement": 7, "text": "two bundles"}


@pytest.mark.parametrize("text", ["don’t — really…", "価格：５", "a\u200bb", "`x`.", "<b>", "50 %."])
def test_f13_free_text_keeps_every_character(text: str) -> None:
    """Nothing is made plain that may be anything."""
    assert understood(f'settlement note s7 "{text}"').args["text"] == text


@pytest.mark.parametrize("text", ["deposit add ana 500. machine=m1", "fixed limit ５００", "settle ana 5\u200b machine=m1",
                                  "machine set m1 cash_in=5%.", "lp add @ana machine=m1 name=ana."])  # fmt: skip
def test_f13_money_and_new_names_are_taken_as_they_were_typed(text: str) -> None:
    """A number may be cut off, and a name is for ever."""
    assert refused(text).code is Code.BAD_ARGUMENT


@pytest.mark.parametrize("text", ["balance —json", "Balance.", "lp show ana.", "deposit confirm ｄ１", "‘balance’"])
def test_f13_the_first_rules_did_not_understand(text: str) -> None:
    """So no entry of theirs can be of such a text."""
    assert isinstance(parse(text, FIRST), Misunderstood)
    assert isinstance(parse(text, RULES), Command)


@pytest.mark.parametrize(
    "around",
    ["{}", "nostr:{}", "NOSTR:{}", "nostr://{}", "web+nostr:{}", "@{}", "<{}>", "{},", "{}.", "({})", "\u200b{}\u200b", "nostr:{}.",
     "`{}`"],
)  # fmt: skip
def test_f8_keys_as_clients_give_them(around: str) -> None:
    """npub in either case, nprofile with relays that are not needed, hex; whatever was pasted around them."""
    ana = person("ana")
    profile = nostr_sdk.Nip19Profile(
        nostr_sdk.PublicKey.parse(ana.npub), [nostr_sdk.RelayUrl.parse("wss://r.example")]
    ).to_bech32()
    for key in (
        ana.npub,
        ana.npub.upper(),
        ana.npub.capitalize(),
        ana.pubkey,
        ana.pubkey.upper(),
        profile,
        profile.upper(),
    ):
        command = parse(f'lp add "{around.format(key)}" machine=m1 name=ana')
        assert isinstance(command, Command), command
        assert command.args["npub"] == ana.pubkey


@pytest.mark.parametrize(
    ("text", "why"),
    [("note1" + "q" * 58, "a note"), ("naddr1" + "q" * 60, "address of an event"), ("nevent1" + "q" * 60, "an event"),
     ("ana@example.com", "an address (NIP-05)"), ("npub1" + "q" * 57, "cut off or mistyped"), ("nprofile1" + "q" * 40, "cut off or mistyped"),
     ("f" * 64, "not a public key"), ("npub1", "npub is cut off"), ("a" * 2000, "longer than any key")],
)  # fmt: skip
def test_f8_what_is_no_key_is_told_what_it_is(text: str, why: str) -> None:
    """In a sentence that begins as ever."""
    message = refused(f"lp add {text} machine=m1 name=ana").message
    assert message.startswith("npub must be an npub or 64 hex digits of a public key; ")
    assert why in message
    assert text not in message


@pytest.mark.parametrize(
    "text", ["lp add {} machine=m1 name=ana", "{}", "frob {}", "machine set {}", "lp add nostr:{} machine=m1 name=ana", "help {}",
             'settlement note s7 "my key is {}"', "deposit confirm d1 {}", "splits set a=100%:{}", "lp add {} --json"]
)  # fmt: skip
def test_f8_a_secret_key_is_refused_and_never_repeated(text: str) -> None:
    """Wherever it stands, in either case and with characters that nobody sees in it: said why, and not said again."""
    nsec = person("ana").nsec()
    for secret in (nsec, nsec.upper(), f"{nsec[:20]}\u200b{nsec[20:]}"):
        outcome = parse(text.format(secret))
        assert isinstance(outcome, Misunderstood)
        assert "there is a secret key in your message" in outcome.refused.message
        assert nsec[5:20] not in repr(outcome).lower()
