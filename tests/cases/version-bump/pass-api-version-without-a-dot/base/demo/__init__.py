version = "v1"
