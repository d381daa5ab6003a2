"""What `distill` is made of: students, the teacher's outputs, and the objectives that compare the two."""
