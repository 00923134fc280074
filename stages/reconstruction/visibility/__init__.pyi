from .visibility import with_visibility as with_visibility
