"""What a simulation says to a person or to another program."""
