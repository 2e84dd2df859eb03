"""`python -m segkit` is the command line."""

from segkit.cli import main

main()
