"""Station 1 of 8: what the venue says -> records and books; here the Python oracles of the C and stream trust."""
