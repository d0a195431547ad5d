-- The newest state of every round: started (still open), finished (promoted), held or stopped.
SELECT loop, round,
       arg_max(state, (state <> 'started')::INT) AS state,
       any_value(recipe) AS recipe,
       any_value(recipe_hash) AS recipe_hash,
       any_value(recipe_values) AS recipe_values,
       any_value(night_begins) AS night_begins,
       any_value(night_ends) AS night_ends,
       any_value(champion_in) AS champion_in,
       max(challenger) AS challenger,
       max(champion_out) AS champion_out,
       max(reason) AS reason,
       max(seconds) AS seconds,
       min(recorded_at) AS started_at,
       max(recorded_at) FILTER (state <> 'started') AS closed_at
FROM rounds
GROUP BY loop, round
ORDER BY loop, round
