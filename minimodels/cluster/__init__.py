"""Stage 01, the machine room: hardware and networks in plain numbers."""
