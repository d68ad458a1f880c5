"""`python -m bench [PART ...] [--quick] [--json FILE]`: measure, and print each figure beside its aim."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import orjson
from rich.console import Console

from bench import audit, end_to_end, engine, liabilities, questions, startup, verification
from bench.figures import Figure, as_json, machine_line, show

PARTS: dict[str, Callable[..., list[Figure]]] = {
    "verification": verification.measure,
    "engine": engine.measure,
    "end_to_end": end_to_end.measure,
    "questions": questions.measure,
    "startup": startup.measure,
    "audit": audit.measure,
    "liabilities": liabilities.measure,
}


def main() -> None:
    """Run the parts that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the bot on this computer.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when none is named")
    parser.add_argument(
        "--quick", action="store_true", help="little work, to see that it runs: the figures mean nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}: say {', '.join(PARTS)}")

    console = Console()
    console.print(machine_line(), soft_wrap=True, highlight=False)
    measured: dict[str, list[Figure]] = {}
    for part in options.parts or PARTS:
        started = perf_counter()
        measured[part] = PARTS[part](quick=options.quick)
        console.print()
        show(console, part, measured[part])
        print(f"{part}: {perf_counter() - started:.0f} s", file=sys.stderr)
    if options.json is not None:
        options.json.write_bytes(orjson.dumps(as_json(measured), option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
