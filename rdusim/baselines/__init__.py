"""Other answers to the question of a run: so far, what others measured and published."""
