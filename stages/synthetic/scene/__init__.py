"""Where the hands of the test pattern are: a desk in a room."""
