"""Read facts and RGB frames at chosen timestamps from an untrusted video file.

Import `reader` to read a file, `sampling` to choose timestamps, and `windows` for long videos.
Decode workers import this room, so that it imports `model.errors` only, and neither torch nor
FAISS.
"""
