"""Where a program goes: `map_onto.map_onto` places, routes, allocates and schedules; `check.check` proves it legal."""
