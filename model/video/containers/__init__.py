"""Walk an untrusted container before FFmpeg does, and refuse one that would cost too much.

`checks.check_container` is called by `model.video.container` only. Walkers read a few kilobytes,
refuse counts beyond the limits of `limits`, and leave damage to FFmpeg.
"""
