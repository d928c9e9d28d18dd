"""The hidden properties, one file for each assignment. Private."""
