"""The processes and what they hold of the operating system: one file per process or resource.

Stations are pure; everything that reads a clock, opens a socket, waits or writes a disk stands here, thin enough to
read in one go.
"""
