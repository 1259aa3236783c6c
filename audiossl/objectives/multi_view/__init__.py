"""Views of one recording are told from those of others."""
