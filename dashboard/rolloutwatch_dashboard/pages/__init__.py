"""One file per page: what it asks its source for, and what stands where."""
