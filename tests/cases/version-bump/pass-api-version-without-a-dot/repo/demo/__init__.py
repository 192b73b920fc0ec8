version = "v2"
