"""Pictures: single ones, folders of them, pages and animations, and pictures one after another in a file."""
