"""The program `kinolex`: one file per command, and the modules that commands share.

`program` is the entry point. Only `app.__main__` imports this room. Only `tag_files`,
`stored_labels` and `label_output` import heavy modules at the top: commands import them when they
run.
"""
