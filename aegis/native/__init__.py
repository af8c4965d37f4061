"""Station 2: shared memory and the C hot path, with their layouts verified before first use.

What must stay true: nothing above this package knows an offset; each shared file has one writer.
"""
