"""Files that hold whole graphs: one module per format."""
