"""Principal components of each layer, fitted on training frames."""
