-- What the seller promises about the time, as it was when the checkout was started: seconds, and what follows when they have passed.
ALTER TABLE checkouts ADD COLUMN promise json;     -- {within, on_late, text}; null: none

SELECT lane_ensure('deadlines', 'deadlines', NULL, 'promises to buyers', 8, clock_timestamp());
