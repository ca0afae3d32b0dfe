"""How an example is put before the encoder, and how an answer is read: an axis beside setups and targets."""
