"""What alerts cost, and how soon and how surely they are told."""
