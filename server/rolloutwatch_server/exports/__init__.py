"""A run in formats that other programs read, and in one that holds all of it."""
