"""The two heads that give a hand's parameters, and what they share."""
