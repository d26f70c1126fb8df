"""Examples of the documentation: found in pages (`blocks`), tried in a folder of their own (`folder`)."""
