"""Doors into frameworks, each with late imports."""
