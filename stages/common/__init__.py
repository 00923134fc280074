"""What several stages use: files, colours, addresses, distances between hands."""
