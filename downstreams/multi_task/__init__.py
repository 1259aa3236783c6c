"""Several targets of one recording at once, each a class, a level of an order, or a number."""
