"""What alerts cost, and how long they take."""
