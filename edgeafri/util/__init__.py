"""Files, processes, locks and packages: what every other package may stand on, and nothing of models or languages."""
