"""Pretraining of small multilingual encoders in the form of XLM-R, from text folders."""
