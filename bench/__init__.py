"""Benchmarks: how fast the bot is on this computer, as shares of a named peer or limit measured in the same run.

`python -m bench` runs all parts, `python -m bench engine` one of them, `--quick` each of them once with little work.
What lives here: load and stopwatches. What does not: correctness, which is for tests/; the bot is used as it is.

A rate alone says more about the computer than about the program, so each is set beside something that bounds it: bare
libsecp256k1, bare sqlite3, the sum of the cryptography a settlement needs. Contenders take turns, and each is judged
by its best round: another process on the same cores can only ever make a round slower.
"""
