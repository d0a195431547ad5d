-- Acceptance by topic and difficulty, per round: the share of candidates that pass, the share accepted
-- by the last filter of a chain, and coverage, the share of prompts with at least one accepted answer. A round of
-- preferences accepts both answers of a pair, and no rule says which are correct: null.
WITH decided AS (
    SELECT loop, round, candidate_id, bool_or(kept) FILTER (filter = 'correct') AS correct
    FROM decisions
    GROUP BY ALL
),
kept AS (
    SELECT loop, round, candidate_id, bool_or(kept) AS accepted FROM last_decisions GROUP BY ALL
),
answers AS (
    SELECT c.loop, c.round, c.prompt_id, p.topic, p.difficulty,
           d.correct,
           coalesce(k.accepted, false) AS accepted
    FROM candidates AS c
    JOIN prompts AS p ON p.loop = c.loop AND p.prompt_id = c.prompt_id
    LEFT JOIN decided AS d ON d.loop = c.loop AND d.round = c.round AND d.candidate_id = c.candidate_id
    LEFT JOIN kept AS k ON k.loop = c.loop AND k.round = c.round AND k.candidate_id = c.candidate_id
    WHERE c.split = 'train' AND c.kind = 'answer'
)
SELECT loop, round, topic, difficulty,
       count(DISTINCT prompt_id) AS prompts,
       count(*) AS candidates,
       if(sum(count(correct)) OVER same > 0, count(*) FILTER (correct), NULL) AS correct,
       count(*) FILTER (accepted) AS accepted,
       if(sum(count(correct)) OVER same > 0, avg(coalesce(correct, false)::INT), NULL) AS pass_rate,
       avg(accepted::INT) AS acceptance,
       count(DISTINCT prompt_id) FILTER (accepted) / count(DISTINCT prompt_id) AS coverage
FROM answers
GROUP BY loop, round, topic, difficulty
WINDOW same AS (PARTITION BY loop, round)
ORDER BY loop, round, topic, difficulty
