"""What a file is by its first bytes and its structure, where FFmpeg does not say so.

`file_types` tells pictures and containers, `other_files` names what is no video, and `truncation`
tells files that were cut short. `model.video` comes in; nothing is decoded here.
"""
