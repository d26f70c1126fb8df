"""How long one hardware unit takes, alone: one file per unit, pure functions of the work and the unit's type.

Lowering's cost estimate and every engine call these and nothing else for a unit in isolation; contention between
units is an engine's business (docs/design.md says why this package lies below `program`).
"""
