"""The hand: its skeleton and anatomy, rotations, and the models that give a mesh for its parameters."""
