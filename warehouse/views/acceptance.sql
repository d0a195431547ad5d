-- Acceptance by topic and difficulty, per round: the share of candidates that pass, the share accepted
-- by the last filter, and coverage, the share of prompts with at least one accepted answer.
WITH decided AS (
    SELECT loop, round, candidate_id,
           bool_or(kept AND filter = 'correct') AS correct,
           arg_max(kept, position) AS accepted
    FROM decisions
    GROUP BY ALL
),
answers AS (
    SELECT c.loop, c.round, c.prompt_id, p.topic, p.difficulty,
           coalesce(d.correct, false) AS correct,
           coalesce(d.accepted, false) AS accepted
    FROM candidates AS c
    JOIN prompts AS p ON p.loop = c.loop AND p.prompt_id = c.prompt_id
    LEFT JOIN decided AS d ON d.loop = c.loop AND d.round = c.round AND d.candidate_id = c.candidate_id
    WHERE c.split = 'train' AND c.kind = 'answer'
)
SELECT loop, round, topic, difficulty,
       count(DISTINCT prompt_id) AS prompts,
       count(*) AS candidates,
       count(*) FILTER (correct) AS correct,
       count(*) FILTER (accepted) AS accepted,
       avg(correct::INT) AS pass_rate,
       avg(accepted::INT) AS acceptance,
       count(DISTINCT prompt_id) FILTER (accepted) / count(DISTINCT prompt_id) AS coverage
FROM answers
GROUP BY ALL
ORDER BY loop, round, topic, difficulty
