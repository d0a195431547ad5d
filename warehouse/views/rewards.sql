-- What a round's pairs are made of, by topic: prompts, the share that gives no pair for a tie or a near tie, rewards and
-- lengths (in tokens) of chosen and rejected, and how often each is right by the oracle, where that was asked.
WITH oracle AS (
    SELECT loop, round, candidate_id, (outcome = 'pass')::INT AS is_right
    FROM scores WHERE role = 'audit' AND outcome IN ('pass', 'fail')
),
prompt_decisions AS (
    SELECT d.loop, d.round, d.prompt_id, coalesce(p.topic, 'none') AS topic,
           bool_or(d.reason = 'tie') AS tie, bool_or(d.reason = 'near tie') AS near_tie
    FROM decisions AS d
    JOIN prompts AS p ON p.loop = d.loop AND p.prompt_id = d.prompt_id
    WHERE d.filter IN ('rewarded', 'best_and_worst')
    GROUP BY ALL
),
pairs AS (
    SELECT r.loop, r.round, r.prompt_id, r.chosen_value, r.rejected_value,
           c.token_count AS chosen_tokens, x.token_count AS rejected_tokens,
           co.is_right AS chosen_right, xo.is_right AS rejected_right
    FROM preferences AS r
    JOIN candidates AS c ON c.loop = r.loop AND c.round = r.round AND c.candidate_id = r.chosen_id
    JOIN candidates AS x ON x.loop = r.loop AND x.round = r.round AND x.candidate_id = r.rejected_id
    LEFT JOIN oracle AS co ON co.loop = r.loop AND co.round = r.round AND co.candidate_id = r.chosen_id
    LEFT JOIN oracle AS xo ON xo.loop = r.loop AND xo.round = r.round AND xo.candidate_id = r.rejected_id
    WHERE r.chosen_value IS NOT NULL
)
SELECT q.loop, q.round, q.topic,
       count(*) AS prompts,
       count(pairs.prompt_id) AS pairs,
       avg(q.tie::INT) AS ties,
       avg(q.near_tie::INT) AS near_ties,
       avg(chosen_value) AS chosen_reward,
       avg(rejected_value) AS rejected_reward,
       avg(chosen_tokens) AS chosen_tokens,
       avg(rejected_tokens) AS rejected_tokens,
       avg(chosen_right) AS chosen_right,
       avg(rejected_right) AS rejected_right
FROM prompt_decisions AS q
LEFT JOIN pairs USING (loop, round, prompt_id)
GROUP BY ALL
ORDER BY q.loop, q.round, q.topic
