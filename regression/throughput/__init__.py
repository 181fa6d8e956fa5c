"""Two commands timed in pairs: is the new one slower?"""
