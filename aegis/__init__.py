"""AEGIS: an edge appliance that trades Binance USD-M futures, and proves what it says about itself.

The way of a tick goes through eight stations; each sub-package names its own in its first line.
"""

__version__ = "0.1.0"
