"""`kinolex labels`: `commands` has the commands, `stored` opens the database, `output` prints.

`program` imports `commands`; `stored` and `output` import heavy modules at the top.
"""
