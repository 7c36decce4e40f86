"""incarnate: one photo, one sentence or a voice becomes a living 3D human."""
