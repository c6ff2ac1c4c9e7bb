"""How a slow network learns for a lifetime: one method, one file."""
