"""The command surface: one module per family of commands, each with --json, thin over what the processes publish.

Exit codes: 0 fine, 1 a fault, 2 bad input or a difference found, 3 nothing runs (nothing is known).
"""
