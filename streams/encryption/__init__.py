"""Encryption: contents that nobody can read any more once the key of whom they are about is destroyed."""
