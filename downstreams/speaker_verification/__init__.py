"""Whether two recordings are of one speaker, also for speakers that nobody trained on."""
