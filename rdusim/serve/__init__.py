"""Many requests, many experts: what a node (or several) does with them over time. Knows no machine: see `StepCosts`."""
