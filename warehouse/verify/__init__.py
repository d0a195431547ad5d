"""Is the lake what was written? Every file is held against what the log and the seals say of it."""
