"""Between sockets: topologies, collectives as plans of transfers, and the one runner that times them."""
