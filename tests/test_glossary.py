"""The glossary: docs/glossary.md says where each term lives, and it lives there.

What lives here: the form of the page, and its paths and names held against the code. What does not: whether the code uses
the words.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nostrbot"

NOT_BUILT = "not built yet: "
# A path ends in `.py` or `/`, then come names that it defines.
PLACE = re.compile(r"`((?:\w+/)*(?:\w+\.py|\w+/))`((?: `\w+`)*)")


class Row(NamedTuple):
    """One line of the glossary."""

    term: str
    meaning: str
    place: str


def read_glossary() -> list[Row]:
    """Return the rows of the table, without its head."""
    lines = [line for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line.startswith("| ")]
    return [Row(*(cell.strip() for cell in line.strip("|").split(" | "))) for line in lines[1:]]


def names_defined(path: Path) -> set[str]:
    """Return what a file, or the files of a folder, define on their top level."""
    found: set[str] = set()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for node in ast.parse(file.read_text()).body:
            match node:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(name)
                case ast.Assign(targets=targets):
                    found |= {target.id for target in targets if isinstance(target, ast.Name)}
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
    return found


GLOSSARY = read_glossary()


def test_terms_are_sorted_and_stand_once() -> None:
    """A reader finds a term where the alphabet has it, and finds one meaning."""
    terms = [row.term.casefold() for row in GLOSSARY]
    assert len(terms) >= 60
    assert terms == sorted(set(terms))


@pytest.mark.parametrize("row", GLOSSARY, ids=lambda row: row.term)
def test_a_term_lives_where_the_glossary_says(row: Row) -> None:
    """The path is there, and it defines the names behind it; what is not built is not there."""
    place = row.place.removeprefix(NOT_BUILT)
    found = PLACE.fullmatch(place)
    assert found, f"no place: {row.place}"
    path = PACKAGE / found[1]
    if row.place.startswith(NOT_BUILT):
        assert not path.exists(), f"{found[1]} is built: take {NOT_BUILT!r} away"
        return
    assert path.is_dir() if found[1].endswith("/") else path.is_file(), f"{found[1]} is not there"
    assert set(re.findall(r"\w+", found[2])) <= names_defined(path)


@pytest.mark.parametrize("row", GLOSSARY, ids=lambda row: row.term)
def test_a_meaning_is_one_short_line(row: Row) -> None:
    """A glossary that explains at length is not looked into."""
    assert 0 < len(row.meaning.split()) <= 25
    assert not row.meaning.endswith(".")
