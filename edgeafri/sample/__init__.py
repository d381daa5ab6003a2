"""The embedded sample: a small labelled corpus in five languages, so that everything can be tried without any data."""
