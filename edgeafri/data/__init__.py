"""Text and labelled data: files in several layouts, languages, scripts, and the one word splitter."""
