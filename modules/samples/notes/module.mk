NEEDS_notes    := sqlite3
PACKAGES_notes := libsqlite3-dev
