-- How many of a round's own candidates each filter let through: prompts, candidates, correct,
-- equations_hold, distinct_paths_kept, accepted (kept by the last filter of a chain), and the snapshot's rows. A round
-- of preferences accepts both answers of a pair, and has no rules: those three are null.
WITH own AS (
    SELECT c.loop, c.round, c.candidate_id, c.prompt_id
    FROM candidates AS c
    WHERE c.split = 'train' AND c.kind = 'answer'
),
decided AS (
    SELECT d.loop, d.round, d.candidate_id,
           bool_or(d.kept) FILTER (d.filter = 'correct') AS correct,
           bool_or(d.kept AND d.filter = 'equations_hold') AS equations_hold,
           bool_or(d.kept AND d.filter = 'distinct') AS is_distinct
    FROM decisions AS d
    GROUP BY ALL
),
kept AS (
    SELECT loop, round, candidate_id, bool_or(kept) AS accepted FROM last_decisions GROUP BY ALL
),
trained AS (
    SELECT loop, round, sum(rows)::BIGINT AS trained_on FROM snapshots GROUP BY ALL
)
SELECT own.loop, own.round,
       count(DISTINCT own.prompt_id) AS prompts,
       count(*) AS candidates,
       if(count(decided.correct) > 0, count(*) FILTER (decided.correct), NULL) AS correct,
       if(count(decided.correct) > 0, count(*) FILTER (decided.equations_hold), NULL) AS equations_hold,
       if(count(decided.correct) > 0, count(*) FILTER (decided.is_distinct), NULL) AS distinct_paths_kept,
       count(*) FILTER (kept.accepted) AS accepted,
       any_value(trained.trained_on) AS trained_on
FROM own
LEFT JOIN decided USING (loop, round, candidate_id)
LEFT JOIN kept USING (loop, round, candidate_id)
LEFT JOIN trained USING (loop, round)
GROUP BY own.loop, own.round
ORDER BY own.loop, own.round
