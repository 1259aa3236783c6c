"""Ray (extra `ray`)."""
