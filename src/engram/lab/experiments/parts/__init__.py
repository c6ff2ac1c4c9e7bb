"""What is seen at each place of a picture: faults of parts that were taught by good ones, and where things are."""
