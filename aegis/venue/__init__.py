"""Station 6, the venue as a client sees it: requests out, reports in; pure, no I/O, no clock, no randomness."""
