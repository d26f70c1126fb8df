"""GPUs: what the same operators take there, kernel by kernel, and what a DGX needs to serve experts."""
