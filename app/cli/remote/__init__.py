"""Commands that ask a running service over HTTP: `kinolex search` and `kinolex jobs`.

`connection` sends the requests and prints what fails. `program` imports this room.
"""
