"""An encoder: its contract, getting one, running one."""
