"""Latency: how long a bundle should take on a device, by arithmetic and by measurements of that device."""
