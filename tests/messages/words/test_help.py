"""Help as people read it: the more there is to show, the less is said of each."""

from nostrbot.core.commands.specs import CommandSpec, Role
from nostrbot.core.table import SPECS, TABLE
from nostrbot.messages.replies import answer

FOOTER = (
    "`help <command>` shows its options. `preview` before a command shows what it would do; `--json` is for programs."
)


def helped(*forms: CommandSpec) -> list[str]:
    """The lines of help on these commands."""
    rows = [{"usage": form.usage, "summary": form.summary} for form in forms]
    return answer("help", {"help": {"commands": rows}}, json=False).splitlines()


def test_many_commands_are_an_overview() -> None:
    """A line a noun, on a screen of a phone; every command is in it, and where to begin."""
    forms = [form for form in TABLE if form.is_for({Role.OPERATOR})]
    lines = helped(*forms)
    assert lines[0] == "machine add, list, show, set, suspend, resume, rotate, compromised"
    assert "worklist - settlements that need you, each with the next safe step" in lines
    assert lines[-2:] == ["To begin: `help machine add`, then `help lp add`, then `help deposit add`.", FOOTER]
    assert len(lines) < 25
    text = "\n".join(lines)
    for form in forms:
        noun, *verb = form.verb.split()
        (line,) = (line for line in lines if line.startswith(f"{noun} "))
        assert not verb or verb[0] in line.removeprefix(noun).replace(",", "").split()
    assert "[" not in text


def test_a_few_commands_are_a_line_each_without_their_options() -> None:
    """What must be said is shown, and that there is more to say."""
    assert helped(SPECS["splits set"], SPECS["cassette count"], SPECS["pause"]) == [
        "splits set … <label>=<pct>:<npub, LP or self> … - share your commission; replaces the whole set",
        "cassette count <machine> <position>=<notes> … - note what you counted; the difference to what was expected is booked",
        "pause - take no part in sales until you resume; your cash stays yours",
        FOOTER,
    ]


def test_one_command_has_all_its_options_and_an_example() -> None:
    """As the table has them."""
    form = SPECS["guard"]
    topic = {"usage": form.usage, "summary": form.summary, "example": form.example}
    assert answer("help", {"help": topic}, json=False).splitlines() == [
        "guard <machine> [per_settlement=<fiat>|off] [per_day=<fiat>|off] [rate=<pct>|off]",
        "hold a machine's sales above a limit, or with a rate off its recent ones, until you release them",
        "Example: guard m1 per_settlement=5000 per_day=20000 rate=5%",
    ]
    assert answer("help", {"help": topic | {"example": ""}}, json=False).count("\n") == 1
