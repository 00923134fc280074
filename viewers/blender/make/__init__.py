"""What makes the add-on's zip file."""
