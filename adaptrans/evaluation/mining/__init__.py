"""Finding sentence pairs that translate each other in two unaligned corpora (BUCC 2018, `adaptrans mine`)."""
