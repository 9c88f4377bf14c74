"""What the measurements share: videos, servers, clients that load them, processes on each core."""
