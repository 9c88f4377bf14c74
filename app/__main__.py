"""`python -m app` is the program `kinolex`."""

from app.cli import main

main()
