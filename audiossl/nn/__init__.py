"""Blocks that several plug-ins share."""
