-- Write entries of a subject under the version of this moment.
-- parts: entries
-- KEYS: version   ARGV: kind, digest, lifetime s, field, entry, …
keep_entries(ARGV[1], ARGV[2], ARGV[3], {unpack(ARGV, 4)})
