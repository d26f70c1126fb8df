"""What is asked of the machine: shard, cluster, tile, fuse, size and lower (see `types` for the nouns)."""
