"""How people spell things: diagnoses, what is not known, names of image files. Imports nothing but errors."""
