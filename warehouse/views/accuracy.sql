-- Held-out metrics of each round's champion and challenger, with 95% confidence intervals, as they stood
-- in that round: of the newest suite measured by then.
WITH measured AS (
    SELECT loop, round AS measured_in, checkpoint_id, suite, metric, value, n, low, high FROM evaluations
)
SELECT r.loop, r.round, 'champion' AS place, r.champion_in AS checkpoint_id,
       m.metric, m.value, m.low, m.high, m.n, m.suite
FROM round_states AS r
JOIN measured AS m ON m.loop = r.loop AND m.checkpoint_id = r.champion_in AND m.measured_in <= r.round
QUALIFY m.measured_in = max(m.measured_in) OVER (PARTITION BY r.loop, r.round)
UNION ALL
SELECT r.loop, r.round, 'challenger' AS place, r.challenger,
       m.metric, m.value, m.low, m.high, m.n, m.suite
FROM round_states AS r
JOIN measured AS m ON m.loop = r.loop AND m.checkpoint_id = r.challenger AND m.measured_in <= r.round
QUALIFY m.measured_in = max(m.measured_in) OVER (PARTITION BY r.loop, r.round)
ORDER BY ALL
