"""Clients, and queues that serve them in rotation, so that each gets the same share.

`app.http` says who sent a request; admission, the decode pool and the batcher queue by it. This
room imports nothing of the service.
"""
