"""Latency, load time and memory of one model in one process, and the machine that they were measured on."""
