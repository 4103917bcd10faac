"""The database's schema, as numbered SQL files. Each belongs to the room that its name begins with."""
