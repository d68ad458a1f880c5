"""`python -m nostrbot` is `nostrbot`."""

from nostrbot.cli import main

main()
