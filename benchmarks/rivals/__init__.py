"""Servers that do the same without Kinolex; each file is a server and takes a port number."""
