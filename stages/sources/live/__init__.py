"""Sources that come at their own time: cameras and network streams."""
