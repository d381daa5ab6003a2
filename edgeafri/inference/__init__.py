"""From words to labels and their quality: one path that teacher, bundle, workstation and board share."""
