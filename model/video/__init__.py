"""From an untrusted file to facts about the video and RGB frames at chosen timestamps.

Enter by `reader`, and by `sampling` for the choice of timestamps. Decode workers import this room:
it imports no other than `errors`, and neither torch nor FAISS.
"""
