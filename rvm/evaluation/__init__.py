"""The metrics of the field, the models to compare, and the held-back material to compare on."""
