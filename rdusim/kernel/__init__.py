"""Simulated time; knows no RDU: timed event graphs (maxplus, howard, makespan) and shared bandwidth (resource)."""
