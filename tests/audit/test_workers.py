"""The crew: with many processes the same is found as with one, and the first difference is the first (row 86)."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import orjson
import pytest

from nostrbot.audit import workers as crew
from nostrbot.audit.examination import PAGE_LINES_MAX, Depth, TrailPage, examine, needs_of, pages, reread
from nostrbot.audit.verification import verify_trail
from nostrbot.audit.workers import examined_pages
from nostrbot.errors import ConfigError, TrailError
from nostrbot.nostr.event import verified_elsewhere
from tests.audit.test_message_keys import lived
from tests.audit.test_verification import Content, Trail, changed, resealed, sealed_again
from tests.houses import House, payment_hash, person, report, sale


@pytest.fixture(scope="module")
def trail() -> Trail:
    return lived().trail()


def forged_signature(content: Content) -> None:
    event = content["input"]["event"]
    event["sig"] = person("forger").sign(bytes.fromhex(event["id"]))


def other_facts(content: Content) -> None:
    content["facts"][0]["fact"] = "nothing"


FORGERIES: dict[str, Callable[[Trail], Trail]] = {
    "a signature": lambda trail: resealed(trail, 8, forged_signature),
    "a hash": lambda trail: changed(trail, 11, lambda content: content.update(at=content["at"] + 1)),
    "no JSON": lambda trail: [*trail[:5], b"{", *trail[6:]],
    "a line removed": lambda trail: [*trail[:6], *trail[7:]],
    "keys of no message": lambda trail: resealed(trail, 9, lambda content: content["input"].update(keys="00" * 76)),
    "facts, and a signature after them": lambda trail: resealed(resealed(trail, 4, other_facts), 5, forged_signature),
    "a signature, and facts after it": lambda trail: resealed(resealed(trail, 8, forged_signature), 9, other_facts),
    "a signature out of place": lambda trail: [*(forged := resealed(trail, 8, forged_signature))[:7], *forged[8:]],
    "another header": lambda trail: changed(trail, 0, lambda header: header.update(created_at=1)),
    "a command twice": lambda trail: sealed_again([*trail, trail[4]]),
}


def difference(trail: Trail, jobs: int) -> tuple[int, str, str]:
    with pytest.raises(TrailError) as refused:
        verify_trail(trail, jobs=jobs)
    return refused.value.seq, refused.value.field, refused.value.message


@pytest.mark.usefixtures("any_length")
def test_a_true_trail_has_the_same_summary(trail: Trail) -> None:
    """Whoever checked the signatures; and progress is told page by page."""
    told: list[int] = []
    assert verify_trail(trail, jobs=3, progress=told.append) == verify_trail(trail)
    assert told == [3, 6, 9, 12]


@pytest.mark.usefixtures("any_length")
@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_the_same_difference_is_the_first(trail: Trail, forge: Callable[[Trail], Trail]) -> None:
    """By entry and field, to the word: also where another process found a later one first."""
    forged = forge(trail)
    assert difference(forged, jobs=2) == difference(forged, jobs=1)


def test_what_was_examined_elsewhere_is_read_the_same(trail: Trail) -> None:
    """Contents and inputs are those of who examined the page, up to the trouble."""
    forged = resealed(trail, 8, forged_signature)
    for lines in (trail[1:], forged[1:], [*trail[1:5], b"{"], [*trail[1:5], b"{}"]):
        page = TrailPage(1, tuple(lines))
        examined = examine(page)
        again = reread(page, examined.trouble, examined.crooked, verified_elsewhere)
        assert again == examined
        assert needs_of(again.inputs) == needs_of(examined.inputs)
    assert examine(TrailPage(1, tuple(forged[1:]))).trouble[:3] == (Depth.INPUT, 8, "input.event")


def test_a_short_trail_starts_no_process(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done before a process has started."""
    monkeypatch.setattr(crew, "ProcessPoolExecutor", None)
    assert verify_trail(trail, jobs=8).entries == 12


def test_pages_end_by_lines_and_by_bytes() -> None:
    """Every line is in one page, in order; a huge line ends its page."""
    lines = [b"x"] * (PAGE_LINES_MAX + 1) + [b"y" * 2**21, b"z"]
    made = list(pages(iter(lines)))
    assert [len(page.lines) for page in made] == [PAGE_LINES_MAX, 2, 1]
    assert [page.first for page in made] == [1, PAGE_LINES_MAX + 1, PAGE_LINES_MAX + 3]
    assert [line for page in made for line in page.lines] == lines


@pytest.mark.usefixtures("any_length")
def test_only_so_many_pages_are_on_their_way(trail: Trail) -> None:
    """A crew that waits for the first process does not read the trail ahead without end."""
    taken = 0

    def lines() -> object:
        nonlocal taken
        for line in trail[1:] * 50:
            taken += 1
            yield line

    found = examined_pages(pages(lines()), jobs=2)  # type: ignore[arg-type]
    next(found)
    assert taken <= 3 * (2 * crew.PAGES_AHEAD + 2)
    found.close()


@pytest.fixture(scope="module")
def long_trail() -> Trail:
    """Long enough for a crew as it is."""
    house = House.open()
    for n in range((crew.PAGES_ALONE + 3) * PAGE_LINES_MAX):
        house.now += 1
        house.take(report("m1", sale(payment_hash=payment_hash(n), n=n + 1), at=house.now))
    return house.trail()


def test_a_long_trail_from_the_command_line_by_two_processes(long_trail: Trail, tmp_path: Path) -> None:
    """As people run it: the same summary with one process and with two."""
    path = tmp_path / "trail.jsonl"
    path.write_bytes(b"\n".join(long_trail))
    outputs = []
    for jobs in ("1", "2"):
        command = [sys.executable, "-m", "nostrbot", "audit", "verify", str(path), "--json", "--jobs", jobs]
        outputs.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert outputs[0] == outputs[1]
    assert orjson.loads(outputs[0])["entries"] == len(long_trail) - 1


def test_a_process_that_is_ended_from_outside(long_trail: Trail) -> None:
    """A machine short of memory kills without asking: that is said, and is no verdict on the trail."""

    def end_the_others(_: int) -> None:
        for process in multiprocessing.active_children():
            process.kill()

    with pytest.raises(ConfigError, match="--jobs 1"):
        verify_trail(long_trail, jobs=2, progress=end_the_others)


def test_interrupted_it_ends_at_once_and_says_nothing(long_trail: Trail) -> None:
    """Ctrl-C goes to every process of the terminal; none of them shows where it was."""
    command = [sys.executable, "-m", "nostrbot", "audit", "verify", "-", "--jobs", "2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as verifying:
        assert verifying.stdin is not None
        verifying.stdin.write(b"".join(line + b"\n" for line in long_trail))
        verifying.stdin.flush()
        time.sleep(1.5)  # the crew is at work or waits for more: either way it must end
        os.killpg(verifying.pid, signal.SIGINT)
        assert verifying.wait(20) == 130
        assert verifying.stderr is not None
        assert verifying.stderr.read() == b""


def test_the_others_end_with_the_first(long_trail: Trail) -> None:
    """Whoever ends it without asking leaves no process behind that waits for work for ever."""
    command = [sys.executable, "-m", "nostrbot", "audit", "verify", "-", "--jobs", "2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as verifying:
        assert verifying.stdin is not None
        verifying.stdin.write(b"".join(line + b"\n" for line in long_trail))
        verifying.stdin.flush()
        time.sleep(1.5)
        verifying.kill()
        assert verifying.stderr is not None
        # Every process of it holds this pipe: it ends when the last of them does.
        ended = Thread(target=verifying.stderr.read, daemon=True)
        ended.start()
        ended.join(20)
        assert not ended.is_alive()
