"""Executors of one machine: this process, or several."""
