-- Held-out metrics of each round's champion and challenger, with 95% confidence intervals.
WITH measured AS (
    SELECT loop, checkpoint_id, suite, metric, value, n, low, high FROM evaluations
)
SELECT r.loop, r.round, 'champion' AS place, r.champion_in AS checkpoint_id,
       m.metric, m.value, m.low, m.high, m.n, m.suite
FROM round_states AS r JOIN measured AS m ON m.loop = r.loop AND m.checkpoint_id = r.champion_in
UNION ALL
SELECT r.loop, r.round, 'challenger' AS place, r.challenger,
       m.metric, m.value, m.low, m.high, m.n, m.suite
FROM round_states AS r JOIN measured AS m ON m.loop = r.loop AND m.checkpoint_id = r.challenger
ORDER BY ALL
