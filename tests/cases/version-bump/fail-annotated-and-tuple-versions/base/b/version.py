VERSION = (1, 2, 9)
