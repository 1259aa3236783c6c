"""Slots of a request, heard by a recogniser that writes where each begins and ends."""
