"""Animals: which species, call or individual, and all that is heard in the windows of long recordings."""
