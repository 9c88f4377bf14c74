"""Overload, stops, attackers, keys, odd files, and what the sandbox costs."""
