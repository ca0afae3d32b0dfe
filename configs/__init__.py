"""Experiments that ship; installed as `adaptrans_configs`."""
