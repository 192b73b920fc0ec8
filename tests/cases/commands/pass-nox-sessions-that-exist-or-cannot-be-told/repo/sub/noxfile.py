import nox

for name in ("made", "up"):
    nox.session(lambda session: None, name=name)
