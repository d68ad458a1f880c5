"""Entries: canonical bytes, their hash, and the chain (docs/protocol.md section 7)."""

import json
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.facts import plain_fact
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import RULES
from nostrbot.journal.entry import GENESIS, Chain, canonical, digest, seal, trail_line
from nostrbot.nostr.sealing import Scheme
from tests.houses import DAWN, House, letter, report, sale


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.sell()
    return house


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(plain_data)
@settings(max_examples=150, deadline=None)
def test_canonical_json_is_utf8_sorted_and_without_blanks(value: object) -> None:
    """What any JSON library writes with sorted keys, no blanks and no \\u escapes: an auditor needs none of ours."""
    assert canonical(value) == canonical(json.loads(canonical(value)))
    by_code_point = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(value).decode() == by_code_point


def test_an_entry_s_body_is_canonical_and_its_hash_is_of_the_body(house: House) -> None:
    """sha256 over the canonical JSON of all of an entry but the hash."""
    for entry in house.entries:
        content = json.loads(entry.body)
        assert json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == entry.body
        assert entry.hash == sha256(entry.body).hexdigest() == digest(entry.body)


def test_an_entry_holds_what_section_7_says(house: House) -> None:
    """seq, at, prev, the signed event verbatim, the facts, the postings, the version of the rules."""
    entry = house.entries[-1]
    assert json.loads(entry.body) == {
        "at": house.now,
        "facts": [json.loads(canonical(plain_fact(entry.facts[0])))],
        "input": {"event": entry.given.event.plain()},
        "postings": [list(posting) for posting in entry.transactions[0].postings],
        "prev": house.entries[-2].hash,
        "rules": RULES,
        "seq": len(house.entries),
    }


def test_each_entry_names_the_one_before(house: House) -> None:
    """From the genesis on, without a gap."""
    assert [entry.prev for entry in house.entries] == [GENESIS, *(entry.hash for entry in house.entries[:-1])]
    assert [entry.seq for entry in house.entries] == list(range(1, len(house.entries) + 1))
    assert (house.chain.seq, house.chain.head) == (house.entries[-1].seq, house.entries[-1].hash)


def test_a_plaintext_stands_beside_a_ciphertext_only() -> None:
    """Where the content came plain it is signed already: nothing unsigned stands beside it. NIP-44 has keys a message."""
    assert set(letter("operator", "whoami", at=DAWN).plain()) == {"event", "plaintext"}
    assert set(report("m1", sale(), at=DAWN).plain()) == {"event"}
    assert set(report("m1", sale(), at=DAWN, scheme=Scheme.NIP44).plain()) == {"event", "plaintext", "keys"}


def test_what_follows_from_the_rest_is_left_out() -> None:
    """`carried` and `answered` are written where they are not what they usually are."""
    given = letter("operator", "whoami", at=DAWN)
    carried = Signed(given.event, given.plaintext, given.scheme, carried=True, answered=False)
    assert carried.plain() == given.plain() | {"carried": True, "answered": False}


def test_a_line_of_a_trail_is_the_body_with_the_hash_in_it(house: House) -> None:
    """One JSON object, of which the body is all but the hash."""
    entry = house.entries[-1]
    line = json.loads(entry.line())
    assert line.pop("hash") == entry.hash
    assert canonical(line) == entry.body
    assert trail_line(entry.body, entry.hash) == entry.line()


def test_time_in_a_chain_never_goes_back() -> None:
    """The bot's clock may jump (faults.md row 17); `at` is never smaller than the entry before."""
    chain = Chain("book")
    given = letter("operator", "whoami", at=DAWN)
    times = []
    for now in (DAWN, DAWN + 5, DAWN - 3_600, DAWN + 5, DAWN + 6):
        times.append(seal(chain, given, (), [], at=chain.next_at(now)).at)
    assert times == [DAWN, DAWN + 5, DAWN + 5, DAWN + 5, DAWN + 6]


def test_everything_in_an_entry_is_under_its_hash() -> None:
    """Another time, input or place is another hash."""
    given, other = letter("operator", "whoami", at=DAWN), letter("operator", "help", at=DAWN)
    sealed = [
        seal(Chain("book"), given, (), [], at=DAWN),
        seal(Chain("book"), given, (), [], at=DAWN + 1),
        seal(Chain("book"), other, (), [], at=DAWN),
        seal(Chain("book", seq=1), given, (), [], at=DAWN),
        seal(Chain("book", head="11" * 32), given, (), [], at=DAWN),
    ]
    assert len({entry.hash for entry in sealed}) == len(sealed)
    assert seal(Chain("book"), given, (), [], at=DAWN).hash == sealed[0].hash
