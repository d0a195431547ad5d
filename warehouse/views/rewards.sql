-- What a round's pairs are made of, by topic: prompts, the share that gives no pair for a tie or a near tie, rewards and
-- lengths (in tokens) of chosen and rejected, and how often the auditor passes each, where it was asked.
WITH prompt_decisions AS (
    SELECT d.loop, d.round, d.prompt_id, coalesce(p.topic, 'none') AS topic,
           coalesce(bool_or(d.reason = 'tie'), false) AS tie,
           coalesce(bool_or(d.reason = 'near tie'), false) AS near_tie
    FROM decisions AS d
    JOIN prompts AS p ON p.loop = d.loop AND p.prompt_id = d.prompt_id
    WHERE d.filter IN ('rewarded', 'best_and_worst')
    GROUP BY ALL
),
-- One row a text and not one a pair: two joins of the same candidates tempt the planner to pair them all first.
texts AS (
    SELECT loop, round, prompt_id, unnest([chosen_id, rejected_id]) AS candidate_id,
           unnest([true, false]) AS chosen, unnest([chosen_value, rejected_value]) AS reward
    FROM preferences
    WHERE chosen_value IS NOT NULL
),
scored AS (
    SELECT t.loop, t.round, t.prompt_id, t.chosen, t.reward, c.token_count AS tokens,
           (o.outcome = 'pass')::INT AS is_right
    FROM texts AS t
    JOIN candidates AS c USING (loop, round, candidate_id)
    LEFT JOIN (
        SELECT loop, round, candidate_id, outcome FROM scores WHERE role = 'audit' AND outcome IN ('pass', 'fail')
    ) AS o USING (loop, round, candidate_id)
),
pairs AS (
    SELECT loop, round, prompt_id, true AS paired,
           any_value(reward) FILTER (chosen) AS chosen_reward,
           any_value(reward) FILTER (NOT chosen) AS rejected_reward,
           any_value(tokens) FILTER (chosen) AS chosen_tokens,
           any_value(tokens) FILTER (NOT chosen) AS rejected_tokens,
           any_value(is_right) FILTER (chosen) AS chosen_right,
           any_value(is_right) FILTER (NOT chosen) AS rejected_right
    FROM scored
    GROUP BY ALL
)
SELECT q.loop, q.round, q.topic,
       count(*) AS prompts,
       count(paired) AS pairs,
       avg(q.tie::INT) AS ties,
       avg(q.near_tie::INT) AS near_ties,
       avg(chosen_reward) AS chosen_reward,
       avg(rejected_reward) AS rejected_reward,
       avg(chosen_tokens) AS chosen_tokens,
       avg(rejected_tokens) AS rejected_tokens,
       avg(chosen_right) AS chosen_right,
       avg(rejected_right) AS rejected_right
FROM prompt_decisions AS q
LEFT JOIN pairs USING (loop, round, prompt_id)
GROUP BY ALL
ORDER BY q.loop, q.round, q.topic
