"""`kinolex classify`: tag video files without a server.

`program` imports `classify`; `tag_files` imports heavy modules at the top.
"""
