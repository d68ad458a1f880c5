"""The borders of docs/architecture.md, enforced on the source text.

Imports point down, neighbours do not know each other, the pure rooms have no clock, file, socket, randomness or
float, and a module fits in the head. Type-only imports count: a type that is needed below belongs below.
Each check returns its findings as sentences; the last test plants violations and expects each to be found.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nostrbot"

# Bottom to top. A room may import from its own layer and those before it. A room that does not exist yet costs nothing.
LAYERS = [
    {"errors", "refusals", "money"},
    {"nostr"},
    {"core"},
    {"journal"},
    {"views"},
    {"messages"},
    {"net"},
    {"relays", "rails", "feeds", "store"},
    {"home", "audit"},
    {"reading"},
    {"exports", "backup", "monitoring", "client"},
    {"runtime"},
    {"bot"},
    {"web", "demo"},
    {"cli"},
    {"__main__"},
]
PURE = {"errors", "refusals", "money", "nostr", "core", "journal", "views", "messages"}

# Rooms of one layer that must not know each other.
CARRIERS = ["feeds", "rails", "relays", "store"]
APART = {(here, there) for here in CARRIERS for there in CARRIERS if here != there}
# Pages show what is committed: they need neither the running bot nor its sentences.
APART |= {("web", "runtime"), ("web", "bot"), ("web", "messages")}
# The protocol knows no money, relays know nothing of the domain; the ledger knows no trade, and payloads no accounts.
APART |= {("nostr", "money"), ("relays", "money"), ("relays", "core"), ("relays", "journal")}
APART |= {("core.ledger", "core.atm"), ("core.ledger", "core.platform"), ("core.ledger", "core.book")}
APART |= {("core.atm.payloads", "core.ledger"), ("core.atm.payloads", "core.book"), ("core.commands", "core.atm")}
# Product families meet in core/desk.py, in the book and in the ledger.
APART |= {("core.atm", "core.payouts"), ("core.payouts", "core.atm")}
# What proves the bot right must not be the bot.
APART |= {("audit", "bot"), ("audit", "runtime"), ("bot", "audit"), ("runtime", "audit")}
# Judging needs nothing but files; only who follows checkpoints listens to relays.
APART |= {("audit", "store")}
APART |= {(f"audit.{path.stem}", "relays") for path in (PACKAGE / "audit").glob("*.py") if path.stem != "monitor"}

OUTSIDE_WORLD = {
    "aiosqlite", "alembic", "asyncio", "asyncpg", "ftplib", "http", "httpx", "importlib", "io", "logging", "loguru",
    "multiprocessing", "nostr_sdk", "os", "pathlib", "random", "requests", "secrets", "shutil", "signal", "socket",
    "sqlalchemy", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid", "websockets",
}  # fmt: skip
CLOCK_CALLS = {"now", "today", "utcnow"}
BUILTINS_BANNED = {"__import__", "eval", "exec", "float", "input", "open", "print", "round"}

# A name that says nothing about what lives there.
NAMES_BANNED = {"base", "common", "handler", "helper", "manager", "misc", "processor", "service", "util"}
MODULE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

MODULES = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def module_name(package: Path, path: Path) -> str:
    """The dotted name inside the package: "core.engine", "core" for its __init__, "" for the package's own."""
    return ".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported name, dotted; one that is relative keeps its dots in front."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            yield from (f"{source}.{alias.name}" for alias in node.names)


def is_within(name: str, room: str) -> bool:
    return f"{name}.".startswith(f"{room}.")


def layer_of(room: str) -> int | None:
    return next((height for height, rooms in enumerate(LAYERS) if room in rooms), None)


def import_findings(package: Path, path: Path) -> Iterator[str]:
    own = module_name(package, path)
    own_layer = layer_of(own.split(".", maxsplit=1)[0])
    if own and own_layer is None:
        yield f"{own} has no place in LAYERS: say in tests/test_layers.py which rooms it may know"
        return
    for name in imports(ast.parse(path.read_text())):
        top, _, rest = name.partition(".")
        if not top:
            yield f"{own} imports {name}: absolute imports only, they show the layer"
        elif top in {"tests", "bench"}:
            yield f"{own} imports {name}: the package must not know its tests"
        elif top == package.name and rest and not rest.startswith("__"):
            yield from border_findings(own, own_layer, rest)


def border_findings(own: str, own_layer: int | None, target: str) -> Iterator[str]:
    """What is wrong with one module of the package (with no layer: the package's __init__) importing another."""
    target_layer = layer_of(target.split(".", maxsplit=1)[0])
    if own_layer is None:
        yield f"the package's __init__ imports {target}: importing a room must not load the others"
    elif target_layer is None:
        yield f"{own} imports {target}, which has no place in LAYERS"
    elif target_layer > own_layer:
        yield f"{own} imports upward: {target}"
    for here, there in APART:
        if is_within(own, here) and is_within(target, there):
            yield f"{own} must not know {target}"


def purity_findings(package: Path, path: Path) -> Iterator[str]:
    own = module_name(package, path)
    if own.split(".", maxsplit=1)[0] not in PURE:
        return
    tree = ast.parse(path.read_text())
    for name in imports(tree):
        if name.split(".", maxsplit=1)[0] in OUTSIDE_WORLD:
            yield f"{own} is pure and must not import {name}"
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in BUILTINS_BANNED:
                yield f"{own}:{node.lineno} calls {called}()"
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in CLOCK_CALLS:
                yield f"{own}:{node.lineno} reads the clock"
            case ast.Constant(value=float() | complex()):
                yield f"{own}:{node.lineno} holds a float"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"{own}:{node.lineno} uses /, which makes a float"


def size_findings(package: Path, path: Path) -> Iterator[str]:
    own = module_name(package, path) or package.name
    text = path.read_text()
    tree = ast.parse(text)
    is_migration = own.startswith("store.migrations.versions.")  # a list of statements, as long as its tables are
    if not ast.get_docstring(tree):
        yield f"{own} does not say what lives here: it has no docstring"
    lines = len(text.splitlines())
    if lines > MODULE_LINES_MAX:
        yield f"{own} has {lines} lines: split it along a noun of the trade"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno >= FUNCTION_LINES_MAX and not is_migration:
                yield f"{own}: {node.name} is longer than a screen"


def name_findings(package: Path, path: Path) -> Iterator[str]:
    for part in path.relative_to(package).with_suffix("").parts:
        for word in part.split("_"):
            if word in NAMES_BANNED or word.removesuffix("s") in NAMES_BANNED:
                yield f"{path.relative_to(package)}: {part} says nothing about what lives there"


def cycle_findings(package: Path) -> Iterator[str]:
    """Import cycles between modules. The package's own __init__ is no part of one: it imports no room."""
    trees = {module_name(package, path): ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}
    graph: dict[str, set[str]] = {own: set() for own in trees}
    for own, tree in trees.items():
        for name in imports(tree):
            target = name.removeprefix(f"{package.name}.") if is_within(name, package.name) else ""
            while target and target not in trees:  # a name inside a module stands for the module
                target = target.rpartition(".")[0]
            if target and target != own:
                graph[own].add(target)

    done: set[str] = set()
    trail: list[str] = []

    def visit(own: str) -> Iterator[str]:
        if own in trail:
            yield "import cycle: " + " -> ".join([*trail[trail.index(own) :], own])
        elif own not in done:
            trail.append(own)
            for target in sorted(graph[own]):
                yield from visit(target)
            trail.pop()
            done.add(own)

    for own in sorted(graph):
        yield from visit(own)


@each_module
def test_imports_point_down_and_neighbours_stay_strangers(path: Path) -> None:
    """A room knows only rooms below it, and no neighbour it must not know."""
    assert list(import_findings(PACKAGE, path)) == []


@each_module
def test_pure_rooms_have_no_clock_no_world_and_no_float(path: Path) -> None:
    """The same inputs give the same bytes, for ever: nothing pure reads the world or rounds by machine."""
    assert list(purity_findings(PACKAGE, path)) == []


@each_module
def test_modules_and_functions_fit_in_the_head(path: Path) -> None:
    """A module says what lives in it and is short; a function fits a screen."""
    assert list(size_findings(PACKAGE, path)) == []


@each_module
def test_files_are_nouns_of_the_trade(path: Path) -> None:
    """No file is named for being useful."""
    assert list(name_findings(PACKAGE, path)) == []


def public_classes(package: Path) -> dict[str, list[str]]:
    """Where each public class is defined, by its name."""
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module_name(package, path))
    return found


def test_no_public_class_name_twice() -> None:
    """One word, one thing: whoever looks for a name finds one."""
    assert {name: rooms for name, rooms in public_classes(PACKAGE).items() if len(rooms) > 1} == {}


def test_the_root_and_the_core_stay_small() -> None:
    """A floor that grows flat is no house: what comes belongs into a room."""
    assert len(list(PACKAGE.glob("*.py"))) <= 8
    assert len([path for path in (PACKAGE / "core").glob("*.py") if path.stem != "__init__"]) <= 14


def signposts(package: Path) -> Iterator[tuple[str, str]]:
    """Each path that a module's docstring names, with the module."""
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package)
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        for named in re.findall(r"(?<![\w/.])((?:[a-z_]+/)*[a-z_0-9]+\.py|(?:[a-z_]+/)+)(?![\w/…])", text):
            yield own.as_posix(), named


def is_there(package: Path, own: str, named: str) -> bool:
    """A signpost names a path from the package's root, or a neighbour."""
    places = [package, package.parent, package / Path(own).parent]
    return any((place / named).exists() for place in places)


def test_signposts_lead_somewhere() -> None:
    """A module says what lives elsewhere: there it must be."""
    assert [post for post in signposts(PACKAGE) if not is_there(PACKAGE, *post)] == []


def test_no_import_cycles() -> None:
    """Modules can be read in an order in which each needs only those before it."""
    assert list(cycle_findings(PACKAGE)) == []


def test_every_pure_room_has_a_place() -> None:
    """A room misspelt in one of the tables would be checked by nobody."""
    rooms = set().union(*LAYERS)
    assert rooms >= PURE
    assert rooms >= {room.split(".")[0] for pair in APART for room in pair}


def all_findings(package: Path) -> list[str]:
    modules = sorted(package.rglob("*.py"))
    checks = [import_findings, purity_findings, size_findings, name_findings]
    return [found for path in modules for check in checks for found in check(package, path)] + list(
        cycle_findings(package)
    )


LONG_FUNCTION = "def book():\n" + "    pass\n" * FUNCTION_LINES_MAX

PLANTED = [
    ("nostr/event.py", "from nostrbot.core import fees", "nostr.event imports upward: core.fees"),
    ("core/fees.py", "import nostrbot.journal.entry", "core.fees imports upward: journal.entry"),
    ("store/tables.py", "from nostrbot.bot import run", "store.tables imports upward: bot.run"),
    ("relays/pool.py", "from nostrbot.store import tables", "relays.pool must not know store.tables"),
    ("rails/lnbits.py", "from nostrbot.feeds import lamassu", "rails.lnbits must not know feeds.lamassu"),
    ("store/rows.py", "from nostrbot.web import pages", "store.rows imports upward: web.pages"),
    ("core/book.py", "from nostrbot.views import records", "core.book imports upward: views.records"),
    ("views/records.py", "import asyncio", "views.records is pure and must not import asyncio"),
    ("views/records.py", "from nostrbot.messages import replies", "views.records imports upward: messages.replies"),
    ("web/pages.py", "from nostrbot.messages import replies", "web.pages must not know messages.replies"),
    ("web/pages.py", "from nostrbot.runtime import bookkeeper", "web.pages must not know runtime.bookkeeper"),
    ("relays/pool.py", "from nostrbot.core import fees", "relays.pool must not know core.fees"),
    ("nostr/keys.py", "from nostrbot.money import split", "nostr.keys must not know money.split"),
    ("core/ledger/posting.py", "from nostrbot.core.atm import decode", "core.ledger.posting must not know core.atm.decode"),
    ("core/atm/payloads/decode.py", "import nostrbot.core.ledger", "core.atm.payloads.decode must not know core.ledger"),
    ("core/atm/fixed.py", "from nostrbot.core.payouts import facts", "core.atm.fixed must not know core.payouts.facts"),
    ("core/payouts/due.py", "from nostrbot.core.atm import fixed", "core.payouts.due must not know core.atm.fixed"),
    ("audit.py", "from nostrbot.bot import run", "audit must not know bot.run"),
    ("bot.py", "def run():\n    from nostrbot import audit", "bot must not know audit"),
    ("core/book.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from nostrbot.store import rows",
     "core.book imports upward: store.rows"),
    ("core/book.py", "from . import fees", "absolute imports only"),
    ("bot.py", "from tests.test_layers import PACKAGE", "the package must not know its tests"),
    ("__init__.py", "from nostrbot.core import fees", "importing a room must not load the others"),
    ("gadget.py", "", "gadget has no place in LAYERS"),
    ("bot.py", "from nostrbot import gadget", "bot imports gadget, which has no place in LAYERS"),
    ("core/book.py", "import asyncio", "core.book is pure and must not import asyncio"),
    ("nostr/keys.py", "from secrets import token_bytes", "nostr.keys is pure and must not import secrets.token_bytes"),
    ("journal/trail.py", "from pathlib import Path", "journal.trail is pure and must not import pathlib.Path"),
    ("money.py", "from time import time", "money is pure and must not import time.time"),
    ("core/book.py", "from datetime import datetime\nat = datetime.now()", "core.book:3 reads the clock"),
    ("core/book.py", "from datetime import date\nday = date.today()", "core.book:3 reads the clock"),
    ("core/book.py", "from datetime import datetime\nat = datetime.utcnow()", "core.book:3 reads the clock"),
    ("core/fees.py", "RATE = 0.05", "core.fees:2 holds a float"),
    ("core/fees.py", "RATE = 1e3", "core.fees:2 holds a float"),
    ("core/fees.py", "half = 1 / 2", "core.fees:2 uses /"),
    ("core/fees.py", "half = 1\nhalf /= 2", "core.fees:3 uses /"),
    ("money.py", "whole = round(1)", "money:2 calls round()"),
    ("money.py", "rate = float('1')", "money:2 calls float()"),
    ("journal/trail.py", "text = open('trail').read()", "journal.trail:2 calls open()"),
    ("core/engine.py", "print('here')", "core.engine:2 calls print()"),
    ("core/engine.py", "name = input()", "core.engine:2 calls input()"),
    ("core/engine.py", "clock = __import__('time')", "core.engine:2 calls __import__()"),
    ("store/rows.py", "\n" * MODULE_LINES_MAX, "store.rows has 601 lines"),
    ("store/rows.py", LONG_FUNCTION, "store.rows: book is longer than a screen"),
    ("store/rows.py", f"class Row:\n    async {LONG_FUNCTION.replace(chr(10), chr(10) + '    ')}",
     "store.rows: book is longer than a screen"),
    ("store/row_utils.py", "", "row_utils says nothing"),
    ("core/helpers/fees.py", "", "helpers says nothing"),
    ("relays/manager.py", "", "manager says nothing"),
    ("web/services.py", "", "services says nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "source", "expected"), PLANTED, ids=[f"{row[0]}: {row[2]}" for row in PLANTED])
def test_a_planted_violation_is_found(tmp_path: Path, file: str, source: str, expected: str) -> None:
    """Each rule above can fail: a guard that never fires is decoration."""
    package = plant(tmp_path, {file: f'"""A module."""\n{source}'})
    found = all_findings(package)
    assert [finding for finding in found if expected in finding], found


def test_a_planted_cycle_is_found(tmp_path: Path) -> None:
    """A cycle over three modules of one room is told as the way round."""
    package = plant(
        tmp_path,
        {
            "core/book.py": '"""A."""\nfrom nostrbot.core.fees import share',
            "core/fees.py": '"""B."""\nfrom nostrbot.core import engine',
            "core/engine.py": '"""C."""\nimport nostrbot.core.book',
        },
    )
    assert all_findings(package) == ["import cycle: core.book -> core.fees -> core.engine -> core.book"]


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    """An empty file is found too: it says nothing of what will live there."""
    package = plant(tmp_path, {"core/__init__.py": ""})
    assert all_findings(package) == ["core does not say what lives here: it has no docstring"]


def test_good_modules_are_left_in_peace(tmp_path: Path) -> None:
    """What the rules allow is not found: looking down, knowing oneself, whole division, hashing, a shell's clock."""
    package = plant(
        tmp_path,
        {
            "core/fees.py": '"""A."""\nfrom nostrbot.money import split\nfee = 7 // 2',
            "core/engine.py": '"""B."""\nfrom nostrbot.core.fees import fee\nfrom nostrbot.core.atm import decode',
            "journal/entry.py": '"""C."""\nimport hashlib\nfrom nostrbot.core.engine import fee',
            "web/pages.py": '"""D."""\nfrom nostrbot.store import rows',
            "bot.py": '"""E."""\nimport time\nimport nostrbot\nfrom nostrbot import __doc__, store\nhalf = 1 / 2',
        },
    )
    assert all_findings(package) == []


def plant(folder: Path, modules: dict[str, str]) -> Path:
    """A package of this name in a folder, holding these modules (path -> source)."""
    package = folder / PACKAGE.name
    for file, source in {"__init__.py": '"""The package."""', **modules}.items():
        path = package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return package
