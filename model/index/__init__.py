"""Search over label vectors: the index, its columns, its shortlist and its file.

Import `label_index` to build and search an index, `threshold_search` to search labels that have
thresholds, and `index_file` to save and load one.
"""
