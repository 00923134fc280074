"""What the hands of the test pattern look like: meshes, skin, light."""
