"""The program `kinolex`: one file per command, or a room where a command has several files.

`program` is the entry point; `exits` and `progress` are shared by commands. Rooms: `videos` tags
files, `labels` edits the label database, `remote` asks a running service, `archive` tags
many videos, `training` trains and measures, `doctor` says what runs here. Only `app.__main__`
imports this room. Files of commands import typer and the standard library at the top, and the rest
when the command runs.
"""
