def f():
    version = "1.0"
    return version
