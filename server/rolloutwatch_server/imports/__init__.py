"""Past runs from elsewhere: every file is read as if a stranger had made it to do harm."""
