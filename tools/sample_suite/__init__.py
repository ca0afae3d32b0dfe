"""How the bundled sample suite was made."""
