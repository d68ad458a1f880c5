"""Effort: how many examples each fuzz test tries.

`make test` tries few, and the same ones every time. `make soak` sets FUZZ_TIMES: so many times as many, at random; what
fails is printed with a line that reproduces it.
"""

import os

from hypothesis import HealthCheck, settings

from tests.effort import examples

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))


def effort(count: int) -> settings:
    """The settings of a test that tries so many examples, a third of them in `make test`."""
    return settings(
        max_examples=examples(count) * TIMES,
        derandomize=TIMES == 1,
        database=None,  # what failed once is written down as a test
        print_blob=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )
