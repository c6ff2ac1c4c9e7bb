"""`engram demo`: the handwritten digits told as a story, in the terminal and as a report."""
