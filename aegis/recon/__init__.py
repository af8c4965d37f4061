"""Station 8 of 8: ledger snapshot against venue snapshot -> differences -> adopt | correct | halt. Pure."""
