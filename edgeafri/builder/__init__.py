"""The main job: recipes, the pipeline that runs them, what is measured and kept, and the verdict."""
