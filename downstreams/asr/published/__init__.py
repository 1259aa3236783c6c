"""Recognisers that other toolkits have trained with CTC: their vocabularies and their heads."""
