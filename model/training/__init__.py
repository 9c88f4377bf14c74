"""Training only; nothing above imports it."""
