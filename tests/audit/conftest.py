"""What tests of the auditor share: pages of another size, and a crew for trails that would not need one."""

import pytest

from nostrbot.audit import examination
from nostrbot.audit import workers as crew


@pytest.fixture(params=[examination.PAGE_LINES_MAX, 1, 3], ids=["one page", "a page an entry", "three entries a page"])
def any_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a page ends, the same is found."""
    monkeypatch.setattr(examination, "PAGE_LINES_MAX", request.param)


@pytest.fixture
def any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `jobs` above 1, a crew for the shortest trail, three entries a page."""
    monkeypatch.setattr(crew, "PAGES_ALONE", 0)
    monkeypatch.setattr(examination, "PAGE_LINES_MAX", 3)
