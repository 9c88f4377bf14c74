"""When frames are displayed: a stream's duration, rate and keyframes, and times that files lack.

`transport_clock` corrects a transport stream before it is opened, `display_times` the packets that
are read, and `duration` measures the rest. `model.video` comes in; nothing is decoded here.
"""
