"""Station 5 of 8: accepted intents and venue reports -> order states, exposures, client ids. Pure."""
