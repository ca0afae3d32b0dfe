"""Backbones, setup expressions, adapters and heads."""

import logging

# The library imports bitsandbytes where it is installed, which tells of a kernel that it can do without.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
