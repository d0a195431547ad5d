-- Greedy accuracy of each round's champion and challenger by the steps that a held-out prompt needs, where prompts say
-- that (column difficulty), on the suite that view `accuracy` goes by: prompts, the problems that they tell, accuracy.
WITH answers AS MATERIALIZED (
    SELECT c.loop, c.checkpoint_id, c.prompt_id, regexp_extract(c.unit, '[^/]+$') AS suite, s.outcome
    FROM candidates AS c
    JOIN scores AS s ON s.loop = c.loop AND s.round = c.round AND s.unit = c.unit AND s.candidate_id = c.candidate_id
    WHERE c.split = 'eval' AND c.kind = 'answer' AND c.temperature = 0 AND coalesce(s.role, 'filter') = 'filter'
),
greedy AS (
    SELECT c.loop, c.checkpoint_id, c.suite, p.difficulty AS steps,
           count(*) AS prompts,
           count(DISTINCT coalesce(p.problem, p.prompt_id)) AS problems,
           avg((c.outcome = 'pass')::INT) AS accuracy
    FROM answers AS c
    JOIN prompts AS p ON p.loop = c.loop AND p.prompt_id = c.prompt_id
    WHERE p.difficulty IS NOT NULL
    GROUP BY ALL
)
SELECT a.loop, a.round, a.place, a.checkpoint_id, g.steps, g.prompts, g.problems, g.accuracy
FROM accuracy AS a
JOIN greedy AS g USING (loop, checkpoint_id, suite)
WHERE a.metric = 'accuracy'
ORDER BY a.loop, a.round, a.place, g.steps
