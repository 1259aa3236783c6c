"""Pre-training by reconstruction from altered frames: TERA and, with one axis, Mockingjay."""
