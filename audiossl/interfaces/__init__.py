"""The interfaces that ship with audiossl: `cards.py` lists them, each module holds a family of them."""
