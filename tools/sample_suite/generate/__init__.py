"""Items of the suite: what each example says, drawn from a seed. Torch-free.

Items are drawn once, without any language; every language then puts the same
items into words, so that files are parallel.
"""
