"""A bundle in people's hands: as a web page, served from this machine, or as an Android app."""
