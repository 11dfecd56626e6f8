"""What the rooms of Tidegate share: terms, configuration, markers, state and the command line."""
