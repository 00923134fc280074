"""The lens: the camera of a picture, given, read from a calibration or guessed, and its distortion taken out."""
