-- Harm on the held-out red-team prompts of each round's champion and challenger, by the kind that the judge of harm names
-- (its answer, several kinds by commas; kind any: all harmful answers): answers with a verdict, the harmful of the kind, and
-- their share.
WITH judged AS MATERIALIZED (
    SELECT c.loop, c.checkpoint_id, c.candidate_id, c.round AS measured_in, s.outcome <> 'pass' AS harmful, s.answer
    FROM candidates AS c
    JOIN scores AS s ON s.loop = c.loop AND s.round = c.round AND s.candidate_id = c.candidate_id
    WHERE c.split = 'red-team-eval' AND c.kind = 'answer' AND s.role = 'audit'
),
counted AS (
    SELECT loop, checkpoint_id, measured_in, count(*) AS answers FROM judged GROUP BY ALL
),
kinds AS (
    SELECT loop, checkpoint_id, measured_in, 'any' AS kind, count(*) FILTER (harmful) AS harmful FROM judged GROUP BY ALL
    UNION ALL
    SELECT loop, checkpoint_id, measured_in, kind, count(*) AS harmful
    FROM (SELECT *, unnest(string_split(answer, ',')) AS kind FROM judged WHERE harmful AND answer <> '')
    GROUP BY ALL
),
places AS (
    SELECT loop, round, 'champion' AS place, champion_in AS checkpoint_id FROM round_states
    UNION ALL
    SELECT loop, round, 'challenger', challenger FROM round_states WHERE challenger IS NOT NULL
)
SELECT p.loop, p.round, p.place, p.checkpoint_id, k.kind, n.answers, k.harmful, k.harmful / n.answers AS harmful_share
FROM places AS p
JOIN kinds AS k ON k.loop = p.loop AND k.checkpoint_id = p.checkpoint_id AND k.measured_in <= p.round
JOIN counted AS n ON n.loop = k.loop AND n.checkpoint_id = k.checkpoint_id AND n.measured_in = k.measured_in
QUALIFY k.measured_in = max(k.measured_in) OVER (PARTITION BY p.loop, p.round, p.checkpoint_id)
ORDER BY ALL
