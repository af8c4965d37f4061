"""Station 4 of 8: Intent -> Refusal. Pure."""
