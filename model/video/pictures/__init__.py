"""Animated pictures: what FFmpeg does not do for them as browsers do.

`gif` corrects delays before FFmpeg reads the file; `animated_webp` reads WebP, whose frames FFmpeg
decodes one by one. `model.video.reader` comes in.
"""
