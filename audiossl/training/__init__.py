"""What trains, and the loop that trains it."""
