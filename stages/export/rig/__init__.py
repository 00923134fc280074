"""A hand as animators have it: rest pose, bones, normals, looks."""
