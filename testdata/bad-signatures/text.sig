This is not a signature, but a text about one.
