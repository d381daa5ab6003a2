"""EdgeAfri: from a fine-tuned African-language transformer to a verified bundle for a small device."""

__version__ = "0.1.0"
