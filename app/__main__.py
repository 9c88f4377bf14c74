"""`python -m app` is the program `kinolex`."""

from app.cli.program import main

main()
