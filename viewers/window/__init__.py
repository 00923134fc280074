"""The Open3D window, and how to open it as a process of its own."""
