"""Station 3 of 8: ticks and views -> Intents. Time, luck and parameters come only from the Context."""
