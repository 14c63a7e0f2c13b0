"""Side by side with the peers: both in one run, in turns, and the ratio between them."""
