"""The program `kinolex`: one file per command, and the modules that commands share.

`program` is the entry point. Nothing else in the service imports this room. Only `tag_files`,
`stored_labels` and `label_output`, which commands import when they run, import heavy modules.
"""
