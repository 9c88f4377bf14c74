"""`kinolex classify`: tag video files, with or without a server.

`program` imports `classify`, which has the options. `inputs` says which videos the arguments name,
`asking` asks the service in this process or a running one, `outputs` prints and writes answers,
`tag_files` does one video after the other.
"""
