std = "max"
max_line_length = 120
cache = false
exclude_files = { "build" }
files["test"] = { std = "max+busted" }
files["*.rockspec"] = { std = "none+rockspec" }
