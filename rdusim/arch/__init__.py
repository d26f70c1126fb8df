"""The machine: frozen types, read from arch/*.yaml by `rdusim.arch.load.load_arch`."""
