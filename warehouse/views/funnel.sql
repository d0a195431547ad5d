-- How many of a round's own candidates each filter let through: prompts, candidates, correct,
-- equations_hold, distinct_paths_kept, accepted (kept by the last filter), and the snapshot's rows.
WITH own AS (
    SELECT c.loop, c.round, c.candidate_id, c.prompt_id
    FROM candidates AS c
    WHERE c.split = 'train' AND c.kind = 'answer'
),
decided AS (
    SELECT d.loop, d.round, d.candidate_id,
           bool_or(d.kept AND d.filter = 'correct') AS correct,
           bool_or(d.kept AND d.filter = 'equations_hold') AS equations_hold,
           bool_or(d.kept AND d.filter = 'distinct') AS is_distinct,
           arg_max(d.kept, d.position) AS accepted
    FROM decisions AS d
    GROUP BY ALL
),
trained AS (
    SELECT loop, round, sum(rows)::BIGINT AS trained_on FROM snapshots GROUP BY ALL
)
SELECT own.loop, own.round,
       count(DISTINCT own.prompt_id) AS prompts,
       count(*) AS candidates,
       count(*) FILTER (decided.correct) AS correct,
       count(*) FILTER (decided.equations_hold) AS equations_hold,
       count(*) FILTER (decided.is_distinct) AS distinct_paths_kept,
       count(*) FILTER (decided.accepted) AS accepted,
       any_value(trained.trained_on) AS trained_on
FROM own
LEFT JOIN decided USING (loop, round, candidate_id)
LEFT JOIN trained USING (loop, round)
GROUP BY own.loop, own.round
ORDER BY own.loop, own.round
