"""Commands of `adaptrans`, one file each; installed as `adaptrans_cli`."""
