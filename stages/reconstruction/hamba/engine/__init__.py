"""The network kept busy on a device: batches in slots, graphs and streams on a GPU."""
