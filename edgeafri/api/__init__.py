"""The Python face: every command as a function with keyword arguments and a typed result.

`import edgeafri` hands the names out, each from its module here, so that nothing is imported before it is used.
"""
