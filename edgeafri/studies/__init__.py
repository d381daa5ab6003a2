"""The papers' tables, measured again: a study is a plan over the pipeline and ends in tables beside the published."""
