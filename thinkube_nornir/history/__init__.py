"""Past runs, as the journal has them: found, filtered, compared. Reads only."""
