"""The pipeline as Python objects: `track_hands` follows a source, `HandPipeline` takes pictures that you have."""
