"""What a worker process gives up before it reads a video: system calls, files, network, memory.

`confinement` is the way in; it uses the other modules and says what the kernel lacked. Only worker
programs call it; `report` is also read by the service.
"""
