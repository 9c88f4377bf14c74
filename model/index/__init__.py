"""Search over label vectors: the index, its columns, its shortlist and its file.

`label_index` is the entrance.
"""
