"""What everything stands on: errors, types, configuration, names, files."""
