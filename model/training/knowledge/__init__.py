"""Knowledge written as text: what pictures say about actions, and everyday actions to compare with.

`classes.tsv` and `actions.tsv` are the texts; `knowledge_files.py` reads them. For all of training.
"""
