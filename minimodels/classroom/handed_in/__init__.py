"""What students handed in, whatever became of it on the way: taken in, read, rebuilt."""
