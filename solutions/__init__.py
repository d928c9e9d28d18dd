"""The reference answers, one importable module for each assignment. Private."""
