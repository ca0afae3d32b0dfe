"""How the bundled encoder was made: pretraining of a small multilingual encoder from text."""
