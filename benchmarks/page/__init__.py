"""The page in Chromium: how long a person waits, and the pictures and the video of the docs."""
