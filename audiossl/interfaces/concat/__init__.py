"""All layers side by side, and a linear map."""
