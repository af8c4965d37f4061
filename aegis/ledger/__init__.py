"""Station 7 of 8: fills, cash flows and venue claims -> postings, positions, wallets. Pure and exact."""
