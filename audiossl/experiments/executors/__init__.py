"""Where the units of a plan run: in this process, in several, or on a cluster."""
