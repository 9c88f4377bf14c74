"""The program `kinolex`: one file for each command, imported when that command runs.

`program` is the entry point. Nothing in the service imports this room.
"""
