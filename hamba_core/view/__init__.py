"""How a hand lies in a picture: cameras, crops and the way from a crop's camera to the picture's."""
