def f():
    version = "2.0"
    return version
