"""The verdict on a bundle, and what is known of it, in one form: from builds, profiles and measurements to a page."""
