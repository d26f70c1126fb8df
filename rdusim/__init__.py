"""rdusim."""
