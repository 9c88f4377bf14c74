"""How fast labels are put, found and brought back, and what a kill costs."""
