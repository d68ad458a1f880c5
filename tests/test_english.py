"""The English of the house: how docstrings begin, and words that no docstring and no sentence to a user may have.

What lives here: what a machine can check of the house's rules for sentences. What does not: the nouns (test_glossary.py),
and whether a sentence is good, which a reader decides.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "nostrbot"

# A clause in front of its verb makes the reader wait: a function begins with a verb, a class with a noun.
INVERTED = re.compile(r"(What|How|Who|Whom|Whose|When|Where|Why|Of)\b")
# Words that a stranger stumbles over, and the names that rooms and things had before.
BANNED = re.compile(
    r"\b(anew|so many|no more(?! than)|of its own(?! [a-z])|(?:looks?|looked) whether|in vain"
    r"|mailroom|phrasebook|daybook|lookout|recollection|clerk|alarms?)\b",
    re.IGNORECASE,
)
WORDS_MIN = 2  # a single word is a code or a name, not a sentence


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            yield first.value


def faults(source: str) -> list[tuple[int, str]]:
    """The line and the words of each docstring that begins inverted, and of each text with a banned word."""
    tree = ast.parse(source)
    found = [
        (text.lineno, match[0]) for text in docstrings(tree) if (match := INVERTED.match(str(text.value).lstrip()))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) >= WORDS_MIN:
            words = re.sub(r"\s+", " ", node.value)
            found += [(node.lineno, match[0]) for match in BANNED.finditer(words)]
    return sorted(found)


def test_docstrings_and_sentences_are_plain_english() -> None:
    """Subject, verb, object, in words that are used today."""
    assert {
        str(path.relative_to(PACKAGE)): found
        for path in sorted(PACKAGE.rglob("*.py"))
        if (found := faults(path.read_text(encoding="utf-8")))
    } == {}


def test_a_planted_fault_is_found() -> None:
    """One of each kind, and beside them what is right."""
    source = '''"""Sums: what legs come to."""

class Sum:
    """What legs come to."""

def adds(sums):
    """Add sums
    anew.
    """
    raise ValueError(f"look whether {sums} hold")

def is_alarm(name):
    """Whether a name is one of what was said."""
    return name in ("alarm", "alarms by name")
'''
    assert faults(source) == [(4, "What"), (7, "anew"), (10, "look whether"), (14, "alarms")]
