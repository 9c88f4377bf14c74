"""Store a label and teach it by a video: python teach_a_label.py ADDRESS VIDEO"""

import sys

from kinolex_client import Kinolex, problems

address, video = sys.argv[1:]
with Kinolex(address) as kinolex:
    kinolex.put_labels([{"name": "folding a letter", "aliases": ["letter folding"]}])
    taught = kinolex.add_example("folding a letter", video)
    print(f"{taught.examples} example, which counts {taught.weight:.0%}")
    try:
        kinolex.label("folding an elephant")
    except problems.LabelNotFound as problem:
        print(problem.detail)
    print(kinolex.classify(video).tags[0].label)
