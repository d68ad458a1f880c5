"""A simulator: the real bot, its journal and its store in a world that one integer decides.

Everything that is not the bot is made here: relays that lie and forget, clocks that leap, disks that fill, processes that
die between two statements, people who say anything and machines that repeat themselves. Nothing is random but by the seed
and nothing takes time: a seed is the same trace, byte for byte, wherever it runs.

Start reading at world.py. `python -m tests.simulator --help` runs it.
"""
