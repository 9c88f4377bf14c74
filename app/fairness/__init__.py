"""Who asks for work, and queues in which everybody gets the same share.

`app.http` says who sent a request; admission, the decode pool and the batcher queue by it. This
room imports nothing of the service.
"""
