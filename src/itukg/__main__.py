"""`python -m itukg`: the same as the command `itukg`."""

from itukg.cli import main

main()
