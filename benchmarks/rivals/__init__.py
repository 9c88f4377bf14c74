"""What one would write without Kinolex; each file is a whole server, run with a port number."""
