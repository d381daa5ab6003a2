"""Devices as data: what each can do, what a bundle may cost there, and what was measured on it."""
