"""Checks that every task, interface and objective passes, for the project's own tests and for plug-in authors."""
