"""How long a mapped program takes: engines with one signature, (Mapping, Arch) -> Trace."""
