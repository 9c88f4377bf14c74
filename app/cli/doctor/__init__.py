"""`kinolex doctor`: says what runs on this computer, what does not, and what adds it.

`command` is the command; `machine` looks at the computer and its packages, `service` at what the
settings name, and both return `findings`. Only `app.cli.program` comes in.
"""
