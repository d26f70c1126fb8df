"""Reruns experiments: reads what a folder asks, predicts it, and writes the table and the picture beside it.

`experiments/run.py` is the command; the format of the folders is in experiments/README.md.
"""
